rule evaluation:
    input:
        forcible("evaluation"),
        [
            file
            for arm in CONFIG.arms
            for benchmark in CONFIG.benchmarks_of(arm)
            for file in evaluation_files(arm, benchmark)
        ],


rule evaluate_arm:
    input:
        lambda wildcards: (
            []
            if CONFIG.is_whole(wildcards.arm)
            else model_files(files.model_of(CONFIG, wildcards.arm).path)
        ),
        lambda wildcards: files.prompt_files(CONFIG, wildcards.benchmark, wildcards.arm),
        problems=f"{RUN}/problems/{{benchmark}}.parquet",
        checked=CHECKED,
        weights=lambda wildcards: files.arm_weights(CONFIG, wildcards.arm),
    output:
        f"{RUN}/completions/{{arm}}/{{benchmark}}/{{shard}}.parquet",
    log:
        f"{RUN}/logs/evaluate_arm/{{arm}}.{{benchmark}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/evaluate_arm/{{arm}}.{{benchmark}}.{{shard}}.tsv"
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.generation.threads
    resources:
        **asked("generation"),
    params:
        model=lambda wildcards: files.model_of(CONFIG, wildcards.arm).as_json(),
        prompt=lambda wildcards: sampling.prompt_of_arm(
            CONFIG, wildcards.arm, wildcards.benchmark
        ).as_json(),
        job=lambda wildcards: jobs.evaluation_job(
            CONFIG, wildcards.benchmark, wildcards.shard
        ),
        adapter=lambda wildcards: adapter_of(wildcards.arm),
        code=kept_code(
            "rollouts",
            f"{RUN}/completions/{{arm}}/{{benchmark}}/{{shard}}.parquet",
            "evaluation",
        ),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer rollouts --problems {input.problems} {params.adapter}"
        " --model-config {params.model:q} --prompt {params.prompt:q} --config {params.job:q}"
        " --threads {threads} --kv-cache-mb {resources.kv_cache_mb}"
        " --gpu-memory-percent {resources.gpu_memory_percent}"
        " --tensor-parallel {resources.tensor_parallel}"
        " --pipeline-parallel {resources.pipeline_parallel} --out {output} > {log} 2>&1"


rule judge_arm:
    input:
        completions=f"{RUN}/completions/{{arm}}/{{benchmark}}/{{shard}}.parquet",
        problems=f"{RUN}/problems/{{benchmark}}.parquet",
    output:
        f"{RUN}/evaluation/{{arm}}/{{benchmark}}/{{shard}}.parquet",
    log:
        f"{RUN}/logs/judge_arm/{{arm}}.{{benchmark}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge_arm/{{arm}}.{{benchmark}}.{{shard}}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.verdicts.threads
    resources:
        **asked("verdicts"),
    params:
        verdicts=lambda wildcards: sampling.verdicts_of(CONFIG, wildcards.benchmark),
        second=lambda wildcards: sampling.second_opinion_of(CONFIG, wildcards.benchmark),
        code=kept_code(
            "evaluation", f"{RUN}/evaluation/{{arm}}/{{benchmark}}/{{shard}}.parquet"
        ),
    shell:
        "python -m reasonmaxxer evaluation --completions {input.completions}"
        " --problems {input.problems} --config {params.verdicts:q} --workers {threads}"
        " --second-opinion {params.second} --out {output} > {log} 2>&1"
