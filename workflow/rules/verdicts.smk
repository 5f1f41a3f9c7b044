rule verdicts:
    input:
        forcible("verdicts"),
        all_shard_files("verdicts"),


# Also what every other rule judges by: `use rule judge_rollouts as ... with`.
rule judge_rollouts:
    input:
        completions=f"{RUN}/rollouts/{{origin}}/{{shard}}.parquet",
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
        table="verdicts",
        verdicts=section("verdicts"),
        code=kept_code("verdicts", f"{RUN}/verdicts/{{origin}}/{{shard}}.parquet"),
    shell:
        "python -m reasonmaxxer verdicts --table {params.table} --completions {input.completions:q}"
        " --problems {input.problems:q} --config {params.verdicts:q} --workers {threads}"
        " --code {params.code} --out {output} > {log} 2>&1"
