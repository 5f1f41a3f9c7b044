rule side_by_side:
    input:
        forcible("side_by_side"),
        files.side_by_side_file(CONFIG, RUN) or [],


rule read_side_by_side:
    input:
        model_files(),
        files.side_by_side_tables(CONFIG, RUN),
        adapter=[
            file
            for arm in files.main_arm(CONFIG)
            for file in files.arm_weights(CONFIG, arm)
        ],
    output:
        f"{RUN}/side_by_side.parquet",
    log:
        f"{RUN}/logs/read_side_by_side.log",
    benchmark:
        f"{RUN}/benchmarks/read_side_by_side.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.entropies.threads
    resources:
        **asked("entropies"),
    params:
        model=section("model"),
        job=literal(jobs.side_by_side_job(CONFIG, RUN)),
        adapter=lambda wildcards, input: Path(input.adapter[0]).parent,
        code=code("side_by_side"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer side_by_side --job {params.job:q} --model-config {params.model:q}"
        " --adapter {params.adapter} --threads {threads} --out {output} > {log} 2>&1"
