rule selection:
    input:
        forcible("selection"),
        sorted(
            {
                f"{RUN}/selection/{shards.selection_origin(CONFIG, arm)}.parquet"
                for arm in CONFIG.trained_arms
            }
        ),


rule select_positions:
    input:
        rollouts=lambda wildcards: selected_from("rollouts", wildcards.origin),
        verdicts=lambda wildcards: selected_from("verdicts", wildcards.origin),
        entropies=lambda wildcards: selected_from("entropies", wildcards.origin),
    output:
        table=f"{RUN}/selection/{{origin}}.parquet",
        summary=f"{RUN}/selection/{{origin}}.json",
    log:
        f"{RUN}/logs/select_positions/{{origin}}.log",
    benchmark:
        f"{RUN}/benchmarks/select_positions/{{origin}}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.cpu.threads
    resources:
        **asked("cpu"),
    params:
        config=lambda wildcards: shards.section_of(
            CONFIG, shards.arm_of(CONFIG, "selection", wildcards.origin), "selection"
        ).as_json(),
        job=lambda wildcards: jobs.selection_job(CONFIG, wildcards.origin),
        code=kept_code("selection", f"{RUN}/selection/{{origin}}.parquet"),
    shell:
        "python -m reasonmaxxer selection --rollouts {input.rollouts} --verdicts {input.verdicts}"
        " --entropies {input.entropies} --config {params.config:q} --job {params.job:q}"
        " --out {output.table} --summary {output.summary} > {log} 2>&1"
