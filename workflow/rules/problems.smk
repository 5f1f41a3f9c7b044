rule problems:
    input:
        forcible("problems"),
        expand(
            f"{RUN}/problems/{{split}}.parquet",
            split=["train-pool", "validation-pool", *CONFIG.benchmarks],
        ),


# Benchmarks are read as they are; the pools of training and validation may lose problems that
# are also in a benchmark, and are cleaned into train.parquet and validation.parquet.
rule load_problems:
    input:
        lambda wildcards: files.source_files(
            CONFIG, wildcards.split.removesuffix("-pool")
        ),
    output:
        f"{RUN}/problems/{{split}}.parquet",
    log:
        f"{RUN}/logs/load_problems/{{split}}.log",
    benchmark:
        f"{RUN}/benchmarks/load_problems/{{split}}.tsv"
    wildcard_constraints:
        split="|".join(["train-pool", "validation-pool", *CONFIG.benchmarks]),
    retries: 2
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.cpu.threads
    resources:
        **asked("cpu"),
    params:
        sources=lambda wildcards: sampling.sources_json(CONFIG, wildcards.split),
        register=lambda wildcards: sampling.register_entries(CONFIG, wildcards.split),
        verdicts=json.dumps({"bad_references": CONFIG.verdicts.bad_references}),
        code=kept_code("problems", f"{RUN}/problems/{{split}}.parquet"),
    shell:
        "python -m reasonmaxxer problems --sources {params.sources:q} --split {wildcards.split}"
        " --verdicts {params.verdicts:q} --out {output} > {log} 2>&1"
