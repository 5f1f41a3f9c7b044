rule verdicts:
    input:
        forcible("verdicts"),
        all_shard_files("verdicts"),


rule judge_rollouts:
    input:
        rollouts=f"{RUN}/rollouts/{{origin}}/{{shard}}.parquet",
        problems=f"{RUN}/problems/train.parquet",
    output:
        f"{RUN}/verdicts/{{origin}}/{{shard}}.parquet",
    log:
        f"{RUN}/logs/judge_rollouts/{{origin}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge_rollouts/{{origin}}.{{shard}}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.verdicts.threads
    resources:
        **asked("verdicts"),
    params:
        config=section("verdicts"),
        code=kept_code("verdicts", f"{RUN}/verdicts/{{origin}}/{{shard}}.parquet"),
    shell:
        "python -m reasonmaxxer verdicts --rollouts {input.rollouts} --problems {input.problems}"
        " --config {params.config:q} --workers {threads} --out {output} > {log} 2>&1"
