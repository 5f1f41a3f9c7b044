rule footprint:
    input:
        forcible("footprint"),
        lambda wildcards: footprint_part(
            "teacher", f"{FOOTPRINT}/greedy.parquet", f"{FOOTPRINT}/sampled.parquet"
        ),


# The base's greedy text, on which the paper measures the footprint.
use rule sample_rollouts as write_greedy_text with:
    input:
        model_files(),
        lambda wildcards: footprint_template(),
        problems=lambda wildcards: footprint_problems(),
        checked=CHECKED,
    output:
        f"{FOOTPRINT}/text.parquet",
    log:
        f"{RUN}/logs/write_greedy_text.log",
    benchmark:
        f"{RUN}/benchmarks/write_greedy_text.tsv"
    params:
        prompt=lambda wildcards: footprint_prompt(),
        job=lambda wildcards: footprint.greedy_job(CONFIG),
        code=kept_code("rollouts", f"{FOOTPRINT}/text.parquet", "footprint"),


rule measure_footprint:
    input:
        model_files(),
        lambda wildcards: arm_files(analysis().teacher),
        rollouts=lambda wildcards: (
            [f"{FOOTPRINT}/text.parquet"]
            if wildcards.text == "greedy"
            else shard_files("rollouts")
        ),
    output:
        f"{FOOTPRINT}/{{text}}.parquet",
    log:
        f"{RUN}/logs/measure_footprint/{{text}}.log",
    benchmark:
        f"{RUN}/benchmarks/measure_footprint/{{text}}.tsv"
    wildcard_constraints:
        text="greedy|sampled",
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.entropies.threads
    resources:
        **asked("entropies"),
    params:
        model=section("model"),
        teacher=lambda wildcards: teacher_flags(),
        samples=lambda wildcards: f"{analysis().samples} {CONFIG.rollouts.samples}",
        code=kept_code("footprint", f"{FOOTPRINT}/{{text}}.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer footprint --rollouts {input.rollouts}"
        " --model-config {params.model:q} {params.teacher} --samples {params.samples}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --out {output}"
        " > {log} 2>&1"
