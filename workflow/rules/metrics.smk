MANIFEST = manifest(CONFIG, RUN)


rule metrics:
    input:
        forcible("metrics"),
        f"{RUN}/metrics.json",


rule compute_metrics:
    input:
        model_files(),
        manifest_files(MANIFEST),
    output:
        metrics=f"{RUN}/metrics.json",
        table=report(
            f"{RUN}/metrics.parquet",
            caption="../report/metrics.rst",
            category="Tables",
        ),
        differences=report(
            f"{RUN}/differences.parquet",
            caption="../report/differences.rst",
            category="Tables",
        ),
        figures=f"{RUN}/figures.json",
    log:
        f"{RUN}/logs/compute_metrics.log",
    benchmark:
        f"{RUN}/benchmarks/compute_metrics.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.cpu.threads
    resources:
        **asked("cpu"),
    params:
        # In the config's order, which is the page's.
        manifest=literal(json.dumps(MANIFEST)),
        timings=f"{RUN}/benchmarks",
        code=code("metrics"),
    shell:
        "python -m reasonmaxxer metrics --manifest {params.manifest:q} --out {output.metrics}"
        " --benchmarks-dir {params.timings}"
        " --table {output.table} --differences {output.differences} --figures {output.figures} > {log} 2>&1"
