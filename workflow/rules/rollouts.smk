rule rollouts:
    input:
        forcible("rollouts"),
        all_shard_files("rollouts"),


# Also what every other rule samples by: `use rule sample_rollouts as ... with`.
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
        command="rollouts",
        model=section("model"),
        prompt=section("prompt"),
        job=lambda wildcards: jobs.rollouts_job(
            CONFIG, wildcards.origin, wildcards.shard
        ),
        adapters="none",
        code=kept_code("rollouts", f"{RUN}/rollouts/{{origin}}/{{shard}}.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer {params.command} --model-config {params.model:q}"
        " --problems {input.problems:q} --prompt {params.prompt:q} --job {params.job:q}"
        " --adapter {params.adapters:q} --code {params.code}"
        f" {ENGINE} --out {{output}} > {{log}} 2>&1"
