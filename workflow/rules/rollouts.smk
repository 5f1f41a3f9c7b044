rule rollouts:
    input:
        forcible("rollouts"),
        all_shard_files("rollouts"),


rule sample_rollouts:
    input:
        model_files(),
        files.prompt_files(CONFIG, "train"),
        problems=f"{RUN}/problems/train.parquet",
        checked=CHECKED,
    output:
        f"{RUN}/rollouts/{{origin}}/{{shard}}.parquet",
    log:
        f"{RUN}/logs/sample_rollouts/{{origin}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/sample_rollouts/{{origin}}.{{shard}}.tsv"
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.generation.threads
    resources:
        **asked("generation"),
    params:
        model=section("model"),
        prompt=section("prompt"),
        job=lambda wildcards: jobs.rollouts_job(
            CONFIG, wildcards.origin, wildcards.shard
        ),
        code=kept_code("rollouts", f"{RUN}/rollouts/{{origin}}/{{shard}}.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer rollouts --problems {input.problems}"
        " --model-config {params.model:q} --prompt {params.prompt:q} --config {params.job:q}"
        " --threads {threads} --kv-cache-mb {resources.kv_cache_mb}"
        " --gpu-memory-percent {resources.gpu_memory_percent}"
        " --tensor-parallel {resources.tensor_parallel}"
        " --pipeline-parallel {resources.pipeline_parallel} --out {output} > {log} 2>&1"
