MANIFEST = manifest(CONFIG, RUN)
PAGE = f"{workflow.basedir}/workflow/reasonmaxxer/report/template"


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
        table=f"{RUN}/metrics.parquet",
        differences=f"{RUN}/differences.parquet",
        figures=f"{RUN}/figures.json",
    log:
        f"{RUN}/logs/compute_metrics.log",
    benchmark:
        f"{RUN}/benchmarks/compute_metrics.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.light.threads
    resources:
        **asked("light"),
    params:
        # In the config's order, which is the page's.
        manifest=literal(json.dumps(MANIFEST)),
        timings=f"{RUN}/benchmarks",
        code=code("metrics"),
    shell:
        "python -m reasonmaxxer metrics --manifest {params.manifest:q} --out {output.metrics}"
        " --benchmarks-dir {params.timings}"
        " --table {output.table} --differences {output.differences} --figures {output.figures} > {log} 2>&1"


rule report:
    input:
        forcible("report"),
        "results/report.html",


rule render_report:
    input:
        metrics=f"{RUN}/metrics.json",
        figures=f"{RUN}/figures.json",
        published=f"{workflow.basedir}/data/published.yaml",
        page=sorted(str(file) for file in Path(PAGE).rglob("*") if file.is_file()),
    output:
        f"{RUN}/report.html",
    log:
        f"{RUN}/logs/render_report.log",
    benchmark:
        f"{RUN}/benchmarks/render_report.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.light.threads
    resources:
        **asked("light"),
    params:
        config=section("report"),
        page=lambda wildcards, input: str(Path(input.page[0]).parent),
        timings=f"{RUN}/benchmarks",
        code=code("report"),
    shell:
        "python -m reasonmaxxer report --metrics {input.metrics} --figures {input.figures}"
        " --page {params.page:q} --config {params.config:q} --benchmarks-dir {params.timings}"
        " --out {output} > {log} 2>&1"


# The page of the config that ran last; each run keeps its own.
rule publish_report:
    input:
        f"{RUN}/report.html",
    output:
        "results/report.html",
    log:
        f"{RUN}/logs/publish_report.log",
    benchmark:
        f"{RUN}/benchmarks/publish_report.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=100,
        runtime=1,
    params:
        run=CONFIG.run,
    shell:
        "cp {input} {output}.part 2> {log} && mv {output}.part {output} && echo 'The report: '$(realpath {output}) >&2"
