rule preflight:
    input:
        forcible("preflight"),
        f"{RUN}/problems/preflight.json",


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
    threads: CONFIG.resources.cpu.threads
    resources:
        **asked("cpu"),
    params:
        models=literal(json.dumps(jobs.models(CONFIG), sort_keys=True)),
        # It looks at `resources`, so Snakemake does not track it: no result depends on it.
        lora=lambda wildcards, resources: (
            "--lora" if jobs.serves_adapters(CONFIG) else ""
        ),
        code=code("preflight"),
    shell:
        "python -m reasonmaxxer preflight --models {params.models:q}"
        " --problems {input.problems} {params.lora} --out {output} > {log} 2>&1"
