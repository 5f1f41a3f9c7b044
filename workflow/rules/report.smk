# Relative, so that a project that was moved has the same inputs.
PAGE = os.path.relpath(f"{HOME}/workflow/reasonmaxxer/report/template")


rule report:
    input:
        forcible("report"),
        "results/report.html",


rule render_report:
    input:
        metrics=f"{RUN}/metrics.json",
        figures=f"{RUN}/figures.json",
        published=local(os.path.relpath(f"{HOME}/data/published.yaml")),
        page=[
            local(file)
            for file in sorted(map(str, Path(PAGE).rglob("*")))
            if Path(file).is_file()
        ],
    output:
        page=report(f"{RUN}/report.html", caption="../report/page.rst", category="Page"),
        charts=[
            report(
                f"{RUN}/charts/{name}.svg",
                caption="../report/chart.rst",
                category="Figures",
                labels={"figure": name},
            )
            for name in ("gains", "entropy", "pass-rates", "training", "validation")
        ],
    log:
        f"{RUN}/logs/render_report.log",
    benchmark:
        f"{RUN}/benchmarks/render_report.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.cpu.threads
    resources:
        **asked("cpu"),
    params:
        config=section("report"),
        page=lambda wildcards, input: str(Path(input.page[0]).parent),
        timings=f"{RUN}/benchmarks",
        code=code("report"),
    shell:
        "python -m reasonmaxxer report --metrics {input.metrics} --figures {input.figures}"
        " --template {params.page:q} --config {params.config:q} --benchmarks-dir {params.timings}"
        " --out {output.page} --charts {output.charts} > {log} 2>&1"


# The page of the run that came last. Each run keeps its own beside its results.
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
