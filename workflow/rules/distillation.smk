rule distillation:
    input:
        forcible("distillation"),
        [files.arm_weights(CONFIG, arm) for arm in CONFIG.of_kind("distilled")],


# The rollouts of a teacher, shared by all arms that ask for the same number of them.
use rule sample_rollouts as sample_teacher with:
    input:
        lambda wildcards: arm_files(wildcards.arm),
        files.prompt_files(CONFIG, "train"),
        problems=f"{RUN}/problems/train.parquet",
        checked=CHECKED,
    output:
        f"{RUN}/distillation/{{arm}}/p{{problems}}.s{{samples}}.parquet",
    log:
        f"{RUN}/logs/sample_teacher/{{arm}}.p{{problems}}.s{{samples}}.log",
    benchmark:
        f"{RUN}/benchmarks/sample_teacher/{{arm}}.p{{problems}}.s{{samples}}.tsv"
    wildcard_constraints:
        problems=r"\d+",
        samples=r"\d+",
    params:
        model=lambda wildcards: files.model_of(CONFIG, wildcards.arm).as_json(),
        job=lambda wildcards: jobs.teacher_job(
            CONFIG, int(wildcards.problems), int(wildcards.samples)
        ),
        adapters=lambda wildcards: adapter_of(wildcards.arm),
        code=kept_code(
            "rollouts",
            f"{RUN}/distillation/{{arm}}/p{{problems}}.s{{samples}}.parquet",
            "distillation",
        ),


rule distil_teacher:
    input:
        model_files(),
        weights=lambda wildcards: files.arm_weights(
            CONFIG, CONFIG.arms[wildcards.arm].teacher
        ),
        rollouts=lambda wildcards: files.teacher_rollouts(CONFIG, wildcards.arm),
    output:
        adapter=f"{RUN}/adapters/{{arm}}/adapter_model.safetensors",
        config=f"{RUN}/adapters/{{arm}}/adapter_config.json",
        card=f"{RUN}/adapters/{{arm}}/README.md",
        log=f"{RUN}/training/{{arm}}/log.parquet",
        record=f"{RUN}/adapters/{{arm}}/distillation.json",
    log:
        f"{RUN}/logs/distil_teacher/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/distil_teacher/{{arm}}.tsv"
    wildcard_constraints:
        arm=named(CONFIG.of_kind("distilled")),
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.training.threads
    resources:
        **asked("training", one_process=True),
    params:
        teacher=lambda wildcards: files.model_of(
            CONFIG, CONFIG.arms[wildcards.arm].teacher
        ).as_json(),
        what=lambda wildcards: how(CONFIG, wildcards.arm),
        teacher_adapter=lambda wildcards: adapter_flag(
            CONFIG.arms[wildcards.arm].teacher
        ),
        model=section("model"),
        config=lambda wildcards: CONFIG.section_of(
            wildcards.arm, "distillation"
        ).as_json(),
        scratch=f"{RUN}/scratch/distillation/{{arm}}",
        tracking=tracking,
        code=kept_code("distillation", f"{RUN}/training/{{arm}}/log.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer distillation --rollouts {input.rollouts}"
        " --teacher {params.teacher:q} {params.teacher_adapter}"
        " --arm {wildcards.arm} --description {params.what:q}"
        " --model-config {params.model:q} --config {params.config:q} --scratch {params.scratch}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --out-log {output.log}"
        " {params.tracking}"
        " --out $(dirname {output.config:q}) --summary {output.record} > {log} 2>&1"
