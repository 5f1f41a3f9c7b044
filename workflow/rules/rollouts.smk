def shard_files(stage, arm=None):
    """A stage's files for every shard of the rollouts that an arm trains on."""
    origin = plan.rollouts_origin(CONFIG, arm)
    return [f"{RUN}/{stage}/{origin}/{shard}.parquet" for shard in plan.rollout_shards(CONFIG, arm)]


def all_shard_files(stage):
    """The same for all arms."""
    arms = [None, *CONFIG.trained_arms]
    return sorted({file for arm in arms for file in shard_files(stage, arm)})


rule rollouts:
    input:
        all_shard_files("rollouts"),


rule sample_rollouts:
    input:
        model_files(),
        plan.prompt_files(CONFIG, "train"),
        problems=f"{RUN}/problems/train.parquet",
        audit=ancient(f"{RUN}/problems/audit.json"),
    output:
        f"{RUN}/rollouts/{{origin}}/{{shard}}.parquet",
    params:
        model=section("model"),
        prompt=section("prompt"),
        job=lambda wildcards: plan.rollouts_job(CONFIG, wildcards.origin, wildcards.shard),
        code=kept_code("rollouts"),
    log:
        f"{RUN}/logs/sample_rollouts/{{origin}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/sample_rollouts/{{origin}}.{{shard}}.tsv"
    threads: CONFIG.resources.generation.threads
    retries: 1
    resources:
        **asked("generation"),
    shell:
        "python -m reasonmaxxer rollouts --problems {input.problems}"
        " --model-config {params.model:q} --prompt {params.prompt:q} --config {params.job:q}"
        " --threads {threads} --kv-cache-mb {resources.kv_cache_mb}"
        " --gpu-memory-percent {resources.gpu_memory_percent}"
        " --tensor-parallel {resources.tensor_parallel} --out {output} > {log} 2>&1"
