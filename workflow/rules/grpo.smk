rule grpo:
    input:
        forcible("grpo"),
        expand(f"{RUN}/training/{{arm}}/grpo.parquet", arm=CONFIG.of_kind("grpo")),


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
        tracking=tracking,
        code=kept_code("grpo", f"{RUN}/training/{{arm}}/grpo.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer grpo --problems {input.problems}"
        " --model-config {params.model:q} --prompt {params.prompt:q}"
        " --verdicts {params.verdicts:q} --config {params.config:q}"
        " {params.tracking}"
        " --scratch {params.scratch}"
        " --batch-tokens {resources.batch_tokens} --threads {threads} --out-log {output.log}"
        " --checkpoints {output.checkpoints} > {log} 2>&1"
