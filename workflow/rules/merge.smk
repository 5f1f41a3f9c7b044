# On request only: the main arm as a whole model. Any other arm can be had by its file's name.
rule merge:
    input:
        forcible("merge"),
        [f"{RUN}/merged/{arm}/model.safetensors" for arm in files.main_arm(CONFIG)],


rule merge_adapter:
    input:
        model_files(),
        adapter=f"{RUN}/adapters/{{arm}}/adapter_model.safetensors",
        config=f"{RUN}/adapters/{{arm}}/adapter_config.json",
    output:
        weights=f"{RUN}/merged/{{arm}}/model.safetensors",
        config=f"{RUN}/merged/{{arm}}/config.json",
    log:
        f"{RUN}/logs/merge_adapter/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/merge_adapter/{{arm}}.tsv"
    # The base in float32 may need more memory than training does: each retry asks for more.
    retries: 2
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.training.threads
    resources:
        mem_mb=asked("training")["mem_mb"],
        runtime=asked("training")["runtime"],
    params:
        model=section("model"),
        code=code("merge"),
    shell:
        "python -m reasonmaxxer merge --model-config {params.model:q}"
        " --adapter $(dirname {input.config:q}) --out $(dirname {output.config:q})"
        " --threads {threads} > {log} 2>&1"
