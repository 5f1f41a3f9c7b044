# Makes a lab base model again. This is never part of a run: the weights in data/ are plain inputs,
# and whoever wants others there copies them (docs/lab.md).
rule pretrain:
    output:
        model="results/pretrain/world-{world}-seed-{seed}/model/model.safetensors",
        others=expand(
            "results/pretrain/world-{{world}}-seed-{{seed}}/model/{file}",
            file=[
                "config.json",
                "generation_config.json",
                "tokenizer.json",
                "tokenizer_config.json",
                "pretraining.json",
            ],
        ),
    log:
        "results/pretrain/world-{world}-seed-{seed}/pretrain.log",
    benchmark:
        "results/pretrain/world-{world}-seed-{seed}/pretrain.tsv"
    wildcard_constraints:
        world=r"[1-6]",
        seed=r"\d+",
    retries: 1
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=3000,
        runtime=180,
    params:
        config=lambda wildcards: BASES[int(wildcards.world)].as_json(),
        scratch="results/pretrain/world-{world}-seed-{seed}/scratch",
        code=code_hash("lab.pretrain"),
    shell:
        "python -m reasonmaxxer pretrain --config {params.config:q} --seed {wildcards.seed}"
        " --scratch {params.scratch} --out $(dirname {output.model:q}) > {log} 2>&1"
