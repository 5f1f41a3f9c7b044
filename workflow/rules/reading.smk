rule reading:
    input:
        forcible("reading"),
        files.reading_file(CONFIG, RUN) or [],


rule read_pairs:
    input:
        model_files(),
        files.reading_tables(CONFIG, RUN),
        adapter=[
            f"{RUN}/adapters/{arm}/adapter_model.safetensors"
            for arm in files.main_arm(CONFIG)
        ],
    output:
        f"{RUN}/reading.parquet",
    log:
        f"{RUN}/logs/read_pairs.log",
    benchmark:
        f"{RUN}/benchmarks/read_pairs.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.entropies.threads
    resources:
        **asked("entropies"),
    params:
        model=section("model"),
        job=literal(jobs.reading_job(CONFIG, RUN)),
        adapter=lambda wildcards, input: Path(input.adapter[0]).parent,
        code=code("reading"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer reading --job {params.job:q} --model-config {params.model:q}"
        " --adapter {params.adapter} --threads {threads} --out {output} > {log} 2>&1"
