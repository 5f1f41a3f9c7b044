rule contamination:
    input:
        forcible("contamination"),
        f"{RUN}/contamination.json",


rule check_contamination:
    input:
        model_files(),
        problems=expand(f"{RUN}/problems/{{split}}.parquet", split=CONFIG.benchmarks),
        checked=CHECKED,
    output:
        f"{RUN}/contamination.json",
    log:
        f"{RUN}/logs/check_contamination.log",
    benchmark:
        f"{RUN}/benchmarks/check_contamination.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.generation.threads
    resources:
        **asked("generation"),
    params:
        model=section("model"),
        config=section("contamination"),
        engine=CONFIG.engine,
        code=code("contamination"),
    shell:
        "python -m reasonmaxxer gpus {resources.gpu}"
        " python -m reasonmaxxer contamination --problems {input.problems}"
        " --model-config {params.model:q} --config {params.config:q} --engine {params.engine}"
        " --threads {threads} --kv-cache-mb {resources.kv_cache_mb}"
        " --gpu-memory-percent {resources.gpu_memory_percent}"
        " --tensor-parallel {resources.tensor_parallel}"
        " --pipeline-parallel {resources.pipeline_parallel} --out {output} > {log} 2>&1"
