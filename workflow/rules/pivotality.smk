rule pivotality:
    input:
        forcible("pivotality"),
        lambda wildcards: footprint_part(
            "pivotality", f"{FOOTPRINT}/pivotality.parquet"
        ),


rule sample_continuations:
    input:
        model_files(),
        rollouts=shard_files("rollouts"),
        verdicts=shard_files("verdicts"),
        entropies=shard_files("entropies"),
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
        code=kept_code("pivotality", f"{FOOTPRINT}/continuations.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer pivotality --rollouts {input.rollouts}"
        " --verdicts {input.verdicts} --entropies {input.entropies}"
        " --model-config {params.model:q} --prompt {params.prompt:q} --job {params.job:q}"
        f" {ENGINE} --out {{output}} > {{log}} 2>&1"


use rule judge_rollouts as judge_continuations with:
    input:
        completions=f"{FOOTPRINT}/continuations.parquet",
        problems=f"{RUN}/problems/train.parquet",
    output:
        f"{FOOTPRINT}/pivotality.parquet",
    log:
        f"{RUN}/logs/judge_continuations.log",
    benchmark:
        f"{RUN}/benchmarks/judge_continuations.tsv"
    params:
        table="pivotality",
        verdicts=section("verdicts"),
        code=kept_code("verdicts", f"{FOOTPRINT}/pivotality.parquet", "pivotality"),
