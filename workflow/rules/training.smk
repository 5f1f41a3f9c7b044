rule training:
    input:
        forcible("training"),
        expand(f"{RUN}/training/{{arm}}/log.parquet", arm=CONFIG.of_kind("trained")),


rule train_adapter:
    input:
        model_files(),
        selection=lambda wildcards: f"{RUN}/selection/{shards.selection_origin(CONFIG, wildcards.arm)}.parquet",
        states=lambda wildcards: state_files(wildcards.arm),
    output:
        log=f"{RUN}/training/{{arm}}/log.parquet",
        checkpoints=expand(
            f"{RUN}/training/{{{{arm}}}}/checkpoint-{{number}}.safetensors",
            number=range(1, CONFIG.training.checkpoints + 1),
        ),
    log:
        f"{RUN}/logs/train_adapter/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/train_adapter/{{arm}}.tsv"
    wildcard_constraints:
        arm=named(CONFIG.of_kind("trained")),
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.training.threads
    resources:
        **asked("training"),
    params:
        launcher=launcher,
        model=section("model"),
        config=lambda wildcards: CONFIG.section_of(wildcards.arm, "training").as_json(),
        scratch=f"{RUN}/scratch/training/{{arm}}",
        tracking=tracking,
        code=kept_code("training", f"{RUN}/training/{{arm}}/log.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " {params.launcher} --selection {input.selection}"
        " --model-config {params.model:q} --config {params.config:q}"
        " {params.tracking}"
        " --scratch {params.scratch} --states {input.states}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --out-log {output.log}"
        " --checkpoints {output.checkpoints} > {log} 2>&1"
