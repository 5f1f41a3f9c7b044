rule interventions:
    input:
        forcible("interventions"),
        lambda wildcards: footprint_part(
            "teacher", f"{FOOTPRINT}/interventions.parquet"
        ),


rule decode_interventions:
    input:
        model_files(),
        lambda wildcards: arm_files(analysis().teacher),
        lambda wildcards: footprint_template(),
        problems=lambda wildcards: footprint_problems(),
        checked=CHECKED,
    output:
        f"{FOOTPRINT}/decoded.parquet",
    log:
        f"{RUN}/logs/decode_interventions.log",
    benchmark:
        f"{RUN}/benchmarks/decode_interventions.tsv"
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.entropies.threads
    resources:
        **asked("entropies"),
    params:
        model=section("model"),
        teacher=lambda wildcards: teacher_flags(),
        prompt=lambda wildcards: footprint_prompt(),
        config=lambda wildcards: footprint.decode_job(CONFIG),
        max_tokens=lambda wildcards: footprint.max_tokens(CONFIG),
        code=kept_code("interventions", f"{FOOTPRINT}/decoded.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer interventions --problems {input.problems}"
        " --model-config {params.model:q} {params.teacher} --prompt {params.prompt:q}"
        " --config {params.config:q} --max-tokens {params.max_tokens}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --out {output}"
        " > {log} 2>&1"


use rule judge_rollouts as judge_interventions with:
    input:
        completions=f"{FOOTPRINT}/decoded.parquet",
        problems=lambda wildcards: footprint_problems(),
    output:
        f"{FOOTPRINT}/interventions.parquet",
    log:
        f"{RUN}/logs/judge_interventions.log",
    benchmark:
        f"{RUN}/benchmarks/judge_interventions.tsv"
    params:
        table="interventions",
        verdicts=lambda wildcards: footprint_verdicts(),
        code=kept_code(
            "verdicts", f"{FOOTPRINT}/interventions.parquet", "interventions"
        ),
