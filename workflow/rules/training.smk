rule training:
    input:
        forcible("training"),
        expand(
            f"{RUN}/training/{{arm}}/log.parquet",
            arm=CONFIG.of_kind("trained", "distilled"),
        ),
        expand(f"{RUN}/training/{{arm}}/grpo.parquet", arm=CONFIG.of_kind("grpo")),


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
        arm=named(CONFIG.trained_arms),
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
        code=kept_code("training", f"{RUN}/training/{{arm}}/log.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " {params.launcher} --selection {input.selection}"
        " --model-config {params.model:q} --config {params.config:q}"
        " --scratch {params.scratch} --states {input.states}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --out-log {output.log}"
        " --checkpoints {output.checkpoints} > {log} 2>&1"


rule train_grpo:
    input:
        model_files(),
        files.prompt_files(CONFIG, "train"),
        problems=f"{RUN}/problems/train.parquet",
        checked=CHECKED,
    output:
        log=f"{RUN}/training/{{arm}}/grpo.parquet",
        checkpoints=expand(
            f"{RUN}/training/{{{{arm}}}}/checkpoint-{{number}}.safetensors",
            number=range(1, CONFIG.grpo.checkpoints + 1),
        ),
    log:
        f"{RUN}/logs/train_grpo/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/train_grpo/{{arm}}.tsv"
    wildcard_constraints:
        arm=named(CONFIG.of_kind("grpo")),
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.training.threads
    resources:
        **asked("training", one_process=True),
    params:
        model=section("model"),
        prompt=section("prompt"),
        verdicts=section("verdicts"),
        config=lambda wildcards: CONFIG.section_of(wildcards.arm, "grpo").as_json(),
        scratch=f"{RUN}/scratch/grpo/{{arm}}",
        code=kept_code("grpo", f"{RUN}/training/{{arm}}/grpo.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer grpo --problems {input.problems}"
        " --model-config {params.model:q} --prompt {params.prompt:q}"
        " --verdicts {params.verdicts:q} --config {params.config:q}"
        " --scratch {params.scratch}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --out-log {output.log}"
        " --checkpoints {output.checkpoints} > {log} 2>&1"


rule adapter:
    input:
        forcible("adapter"),
        [
            files.arm_weights(CONFIG, arm)
            for arm in CONFIG.of_kind("trained", "grpo", "distilled")
        ],


rule choose_checkpoint:
    input:
        model_files(),
        files.prompt_files(CONFIG, "validation"),
        problems=f"{RUN}/problems/validation.parquet",
        base=evaluation_files(CONFIG.base_arm, "validation"),
        checkpoints=lambda wildcards: checkpoint_files(wildcards.arm),
    output:
        adapter=f"{RUN}/adapters/{{arm}}/adapter_model.safetensors",
        config=f"{RUN}/adapters/{{arm}}/adapter_config.json",
        card=f"{RUN}/adapters/{{arm}}/README.md",
        table=f"{RUN}/adapters/{{arm}}/validation.parquet",
        choice=f"{RUN}/adapters/{{arm}}/choice.json",
    log:
        f"{RUN}/logs/choose_checkpoint/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/choose_checkpoint/{{arm}}.tsv"
    wildcard_constraints:
        arm=named(
            [
                arm
                for arm in CONFIG.of_kind("trained", "grpo")
                if not CONFIG.is_whole(arm)
            ]
        ),
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
        made=lambda wildcards: jobs.choice_options(CONFIG, wildcards.arm),
        validation=section("validation"),
        verdicts=section("verdicts"),
        code=kept_code("adapter", f"{RUN}/adapters/{{arm}}/validation.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer adapter --arm {wildcards.arm} --problems {input.problems}"
        " --base {input.base} --checkpoints {input.checkpoints}"
        " --model-config {params.model:q} --prompt {params.prompt:q} --config {params.job:q}"
        " {params.made} --training {params.training:q} --validation {params.validation:q}"
        " --verdicts {params.verdicts:q} --threads {threads}"
        " --kv-cache-mb {resources.kv_cache_mb}"
        " --gpu-memory-percent {resources.gpu_memory_percent}"
        " --tensor-parallel {resources.tensor_parallel}"
        " --pipeline-parallel {resources.pipeline_parallel}"
        " --out $(dirname {output.config:q}) --table {output.table} --choice {output.choice}"
        " > {log} 2>&1"


# The same for arms whose training made whole models.
use rule choose_checkpoint as choose_model with:
    output:
        weights=f"{RUN}/adapters/{{arm}}/model.safetensors",
        config=f"{RUN}/adapters/{{arm}}/config.json",
        card=f"{RUN}/adapters/{{arm}}/README.md",
        table=f"{RUN}/adapters/{{arm}}/validation.parquet",
        choice=f"{RUN}/adapters/{{arm}}/choice.json",
    log:
        f"{RUN}/logs/choose_model/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/choose_model/{{arm}}.tsv"
    wildcard_constraints:
        arm=named([arm for arm in CONFIG.of_kind("grpo") if CONFIG.is_whole(arm)]),
