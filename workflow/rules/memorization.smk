rule memorization:
    input:
        forcible("memorization"),
        f"{RUN}/memorization.json",


rule check_memorization:
    input:
        model_files(),
        problems=expand(f"{RUN}/problems/{{split}}.parquet", split=CONFIG.benchmarks),
        checked=CHECKED,
    output:
        f"{RUN}/memorization.json",
    log:
        f"{RUN}/logs/check_memorization.log",
    benchmark:
        f"{RUN}/benchmarks/check_memorization.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.generation.threads
    resources:
        **asked("generation"),
    params:
        model=section("model"),
        config=section("memorization"),
        engine=CONFIG.engine,
        code=code("memorization"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer memorization --problems {input.problems}"
        " --model-config {params.model:q} --config {params.config:q} --engine {params.engine}"
        f" {ENGINE} --out {{output}} > {{log}} 2>&1"
