rule footprint:
    input:
        forcible("footprint"),
        lambda wildcards: footprint_part(
            "teacher", f"{FOOTPRINT}/greedy.parquet", f"{FOOTPRINT}/sampled.parquet"
        ),


rule interventions:
    input:
        forcible("interventions"),
        lambda wildcards: footprint_part(
            "teacher", f"{FOOTPRINT}/interventions.parquet"
        ),


rule pivotality:
    input:
        forcible("pivotality"),
        lambda wildcards: footprint_part(
            "pivotality", f"{FOOTPRINT}/pivotality.parquet"
        ),


rule capability:
    input:
        forcible("capability"),
        lambda wildcards: footprint_part("capability", *capability_files()),


# The base's greedy text, on which the paper measures the footprint.
rule write_greedy_text:
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
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.generation.threads
    resources:
        **asked("generation"),
    params:
        model=section("model"),
        prompt=lambda wildcards: footprint_prompt(),
        job=lambda wildcards: footprint.greedy_job(CONFIG),
        code=kept_code("rollouts", f"{FOOTPRINT}/text.parquet", "footprint"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer rollouts --problems {input.problems}"
        " --model-config {params.model:q} --prompt {params.prompt:q} --config {params.job:q}"
        " --threads {threads} --kv-cache-mb {resources.kv_cache_mb}"
        " --gpu-memory-percent {resources.gpu_memory_percent}"
        " --tensor-parallel {resources.tensor_parallel}"
        " --pipeline-parallel {resources.pipeline_parallel} --out {output} > {log} 2>&1"


rule measure_footprint:
    input:
        model_files(),
        lambda wildcards: arm_files(analysis().teacher),
        rollouts=lambda wildcards: (
            [f"{FOOTPRINT}/text.parquet"]
            if wildcards.text == "greedy"
            else footprint.base_rollouts(CONFIG, RUN, "rollouts")
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
        samples=lambda wildcards: analysis().samples,
        code=kept_code("footprint", f"{FOOTPRINT}/{{text}}.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer footprint --rollouts {input.rollouts}"
        " --model-config {params.model:q} {params.teacher} --samples {params.samples}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --out {output}"
        " > {log} 2>&1"


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
        code=kept_code("decode", f"{FOOTPRINT}/decoded.parquet", "interventions"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer decode --problems {input.problems}"
        " --model-config {params.model:q} {params.teacher} --prompt {params.prompt:q}"
        " --config {params.config:q} --max-tokens {params.max_tokens}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --out {output}"
        " > {log} 2>&1"


rule judge_interventions:
    input:
        decoded=f"{FOOTPRINT}/decoded.parquet",
        problems=lambda wildcards: footprint_problems(),
    output:
        f"{FOOTPRINT}/interventions.parquet",
    log:
        f"{RUN}/logs/judge_interventions.log",
    benchmark:
        f"{RUN}/benchmarks/judge_interventions.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.verdicts.threads
    resources:
        **asked("verdicts"),
    params:
        verdicts=lambda wildcards: footprint_verdicts(),
        code=kept_code("interventions", f"{FOOTPRINT}/interventions.parquet"),
    shell:
        "python -m reasonmaxxer interventions --decoded {input.decoded}"
        " --problems {input.problems} --config {params.verdicts:q} --workers {threads}"
        " --out {output} > {log} 2>&1"


rule sample_continuations:
    input:
        model_files(),
        rollouts=lambda wildcards: footprint.base_rollouts(CONFIG, RUN, "rollouts"),
        verdicts=lambda wildcards: footprint.base_rollouts(CONFIG, RUN, "verdicts"),
        entropies=lambda wildcards: footprint.base_rollouts(CONFIG, RUN, "entropies"),
    output:
        f"{FOOTPRINT}/continuations.parquet",
    log:
        f"{RUN}/logs/sample_continuations.log",
    benchmark:
        f"{RUN}/benchmarks/sample_continuations.tsv"
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.generation.threads
    resources:
        **asked("generation"),
    params:
        model=section("model"),
        prompt=section("prompt"),
        job=lambda wildcards: footprint.continuations_job(CONFIG),
        code=kept_code(
            "continuations", f"{FOOTPRINT}/continuations.parquet", "pivotality"
        ),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer continuations --rollouts {input.rollouts}"
        " --verdicts {input.verdicts} --entropies {input.entropies}"
        " --model-config {params.model:q} --prompt {params.prompt:q} --config {params.job:q}"
        " --threads {threads} --kv-cache-mb {resources.kv_cache_mb}"
        " --gpu-memory-percent {resources.gpu_memory_percent}"
        " --tensor-parallel {resources.tensor_parallel}"
        " --pipeline-parallel {resources.pipeline_parallel} --out {output} > {log} 2>&1"


rule judge_continuations:
    input:
        continuations=f"{FOOTPRINT}/continuations.parquet",
        problems=f"{RUN}/problems/train.parquet",
    output:
        f"{FOOTPRINT}/pivotality.parquet",
    log:
        f"{RUN}/logs/judge_continuations.log",
    benchmark:
        f"{RUN}/benchmarks/judge_continuations.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.verdicts.threads
    resources:
        **asked("verdicts"),
    params:
        verdicts=section("verdicts"),
        code=kept_code("pivotality", f"{FOOTPRINT}/pivotality.parquet"),
    shell:
        "python -m reasonmaxxer pivotality --continuations {input.continuations}"
        " --problems {input.problems} --config {params.verdicts:q} --workers {threads}"
        " --out {output} > {log} 2>&1"


# Many samples of a few arms, by the commands of an evaluation.
use rule evaluate_arm as sample_capability with:
    input:
        lambda wildcards: arm_files(wildcards.arm),
        lambda wildcards: footprint_template(),
        problems=lambda wildcards: footprint_problems(),
        checked=CHECKED,
    output:
        f"{FOOTPRINT}/completions/{{arm}}.parquet",
    log:
        f"{RUN}/logs/sample_capability/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/sample_capability/{{arm}}.tsv"
    params:
        model=lambda wildcards: files.model_of(CONFIG, wildcards.arm).as_json(),
        prompt=lambda wildcards: footprint_prompt(),
        job=lambda wildcards: footprint.capability_job(CONFIG),
        adapter=lambda wildcards: adapter_of(wildcards.arm),
        code=kept_code(
            "rollouts", f"{FOOTPRINT}/completions/{{arm}}.parquet", "footprint"
        ),


use rule judge_arm as judge_capability with:
    input:
        completions=f"{FOOTPRINT}/completions/{{arm}}.parquet",
        problems=lambda wildcards: footprint_problems(),
    output:
        f"{FOOTPRINT}/capability/{{arm}}.parquet",
    log:
        f"{RUN}/logs/judge_capability/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge_capability/{{arm}}.tsv"
    params:
        verdicts=lambda wildcards: footprint_verdicts(),
        second="none",
        code=kept_code(
            "evaluation", f"{FOOTPRINT}/capability/{{arm}}.parquet", "footprint"
        ),
