SPLITS = ["train", "validation", *CONFIG.benchmarks]


rule problems:
    input:
        forcible("problems"),
        expand(f"{RUN}/problems/{{split}}.parquet", split=SPLITS),
        f"{RUN}/problems/audit.json",
        f"{RUN}/problems/preflight.json",


# Benchmarks are read as they are; the pools of training and validation may lose problems that
# stand in a benchmark, and are cleaned into train.parquet and validation.parquet.
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
    threads: CONFIG.resources.light.threads
    resources:
        **asked("light"),
    params:
        sources=lambda wildcards: sampling.sources_json(CONFIG, wildcards.split),
        register=lambda wildcards: sampling.register_entries(CONFIG, wildcards.split),
        verdicts=json.dumps({"bad_references": CONFIG.verdicts.bad_references}),
        code=kept_code("problems", f"{RUN}/problems/{{split}}.parquet"),
    shell:
        "python -m reasonmaxxer problems --sources {params.sources:q} --split {wildcards.split}"
        " --verdicts {params.verdicts:q} --out {output} > {log} 2>&1"


# With `overlap: fail` the audit looks at the other splits, and another benchmark or validation set
# redoes nothing here; with `drop` a pool depends on them.
rule clean_pool:
    input:
        pool=f"{RUN}/problems/{{pool}}-pool.parquet",
        others=lambda wildcards: CLEANED_OF[wildcards.pool],
    output:
        f"{RUN}/problems/{{pool}}.parquet",
    log:
        f"{RUN}/logs/clean_pool/{{pool}}.log",
    benchmark:
        f"{RUN}/benchmarks/clean_pool/{{pool}}.tsv"
    wildcard_constraints:
        pool="train|validation",
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.light.threads
    resources:
        **asked("light"),
    params:
        overlap=CONFIG.problems.overlap,
        code=kept_code("problems", f"{RUN}/problems/{{pool}}.parquet"),
    shell:
        "python -m reasonmaxxer clean --pool {input.pool} --split {wildcards.pool}"
        " --overlap {params.overlap} --others {input.others} --out {output} > {log} 2>&1"


rule audit_problems:
    input:
        train=f"{RUN}/problems/train.parquet",
        validation=f"{RUN}/problems/validation.parquet",
        benchmarks=expand(f"{RUN}/problems/{{split}}.parquet", split=CONFIG.benchmarks),
    output:
        f"{RUN}/problems/audit.json",
    log:
        f"{RUN}/logs/audit_problems.log",
    benchmark:
        f"{RUN}/benchmarks/audit_problems.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.light.threads
    resources:
        **asked("light"),
    params:
        code=code("problems"),
    shell:
        "python -m reasonmaxxer audit --train {input.train} --validation {input.validation}"
        " --benchmarks {input.benchmarks} --out {output} > {log} 2>&1"


# What everything expensive waits for: it stops a run whose models or prompts cannot work.
rule check_model:
    input:
        model_files(),
        [files.prompt_files(CONFIG, split) for split in SPLITS],
        [
            files.prompt_files(CONFIG, split, arm)
            for arm in CONFIG.of_kind("checkpoint")
            for split in CONFIG.benchmarks_of(arm)
        ],
        problems=expand(f"{RUN}/problems/{{split}}.parquet", split=SPLITS),
    output:
        f"{RUN}/problems/preflight.json",
    log:
        f"{RUN}/logs/check_model.log",
    benchmark:
        f"{RUN}/benchmarks/check_model.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.light.threads
    resources:
        **asked("light"),
    params:
        models=literal(json.dumps(jobs.models(CONFIG), sort_keys=True)),
        code=code("preflight"),
    shell:
        "python -m reasonmaxxer preflight --models {params.models:q}"
        " --problems {input.problems} --out {output} > {log} 2>&1"
