rule checkpoint:
    input:
        forcible("checkpoint"),
        [files.arm_weights(CONFIG, arm) for arm in CONFIG.of_kind(*CHOSEN)],


rule choose_checkpoint:
    input:
        model_files(),
        files.prompt_files(CONFIG, "validation"),
        problems=f"{RUN}/problems/validation.parquet",
        checkpoints=lambda wildcards: checkpoint_files(wildcards.arm),
    output:
        adapter=f"{RUN}/adapters/{{arm}}/adapter_model.safetensors",
        config=f"{RUN}/adapters/{{arm}}/adapter_config.json",
        card=f"{RUN}/adapters/{{arm}}/README.md",
        table=f"{RUN}/adapters/{{arm}}/validation.parquet",
        summary=f"{RUN}/adapters/{{arm}}/checkpoint.json",
    log:
        f"{RUN}/logs/choose_checkpoint/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/choose_checkpoint/{{arm}}.tsv"
    wildcard_constraints:
        arm=named([arm for arm in CONFIG.of_kind(*CHOSEN) if not CONFIG.is_whole(arm)]),
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.generation.threads
    resources:
        **asked("generation"),
    params:
        model=section("model"),
        prompt=section("prompt"),
        job=literal(jobs.validation_job(CONFIG)),
        training=lambda wildcards: jobs.checkpoint_training(
            CONFIG, wildcards.arm
        ).as_json(),
        made=lambda wildcards: jobs.checkpoint_options(CONFIG, wildcards.arm),
        config=section("checkpoint"),
        verdicts=section("verdicts"),
        tracking=tracking,
        code=kept_code("checkpoint", f"{RUN}/adapters/{{arm}}/validation.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer checkpoint --arm {wildcards.arm} --problems {input.problems}"
        " --checkpoints {input.checkpoints}"
        " --model-config {params.model:q} --prompt {params.prompt:q} --job {params.job:q}"
        " {params.made} --training {params.training:q} --config {params.config:q}"
        " --verdicts {params.verdicts:q} {params.tracking}"
        f" {ENGINE} --out $(dirname {{output.config:q}}) --table {{output.table}}"
        " --summary {output.summary} > {log} 2>&1"


# The same for arms whose checkpoints are whole models.
use rule choose_checkpoint as choose_whole_checkpoint with:
    output:
        weights=f"{RUN}/adapters/{{arm}}/model.safetensors",
        config=f"{RUN}/adapters/{{arm}}/config.json",
        card=f"{RUN}/adapters/{{arm}}/README.md",
        table=f"{RUN}/adapters/{{arm}}/validation.parquet",
        summary=f"{RUN}/adapters/{{arm}}/checkpoint.json",
    log:
        f"{RUN}/logs/choose_whole_checkpoint/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/choose_whole_checkpoint/{{arm}}.tsv"
    wildcard_constraints:
        arm=named([arm for arm in CONFIG.of_kind(*CHOSEN) if CONFIG.is_whole(arm)]),
