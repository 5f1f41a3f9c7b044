rule entropies:
    input:
        forcible("entropies"),
        all_shard_files("entropies"),


rule score_rollouts:
    input:
        model_files(),
        rollouts=f"{RUN}/rollouts/{{origin}}/{{shard}}.parquet",
    output:
        table=f"{RUN}/entropies/{{origin}}/{{shard}}.parquet",
        states=(
            [f"{RUN}/entropies/{{origin}}/{{shard}}.safetensors"]
            if CONFIG.entropies.cache_hidden_states
            else []
        ),
    log:
        f"{RUN}/logs/score_rollouts/{{origin}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/score_rollouts/{{origin}}.{{shard}}.tsv"
    retries: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.entropies.threads
    resources:
        **asked("entropies"),
    params:
        model=section("model"),
        config=section("entropies"),
        states=lambda wildcards, output: (
            f"--states-out {output.states[0]}" if output.states else ""
        ),
        scratch=f"{RUN}/scratch/entropies/{{origin}}.{{shard}}",
        code=kept_code("entropies", f"{RUN}/entropies/{{origin}}/{{shard}}.parquet"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer entropies --rollouts {input.rollouts}"
        " --model-config {params.model:q} --config {params.config:q}"
        " --scratch {params.scratch}"
        " --batch-tokens {resources.batch_tokens} --threads {threads}"
        " --out {output.table} {params.states} > {log} 2>&1"
