rule decontaminate:
    input:
        forcible("decontaminate"),
        f"{RUN}/problems/train.parquet",
        f"{RUN}/problems/validation.parquet",
        f"{RUN}/problems/audit.json",


# With `overlap: fail` only the audit compares the splits, so another benchmark or validation set
# runs nothing again here. With `overlap: drop` a pool depends on the other splits.
rule clean_pool:
    input:
        pool=f"{RUN}/problems/{{pool}}-pool.parquet",
        others=lambda wildcards: CLEANED_OF[wildcards.pool],
    output:
        f"{RUN}/problems/{{pool}}.parquet",
    log:
        f"{RUN}/logs/clean_pool/{{pool}}.log",
    benchmark:
        f"{RUN}/benchmarks/clean_pool/{{pool}}.tsv"
    wildcard_constraints:
        pool="train|validation",
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.cpu.threads
    resources:
        **asked("cpu"),
    params:
        overlap=CONFIG.problems.overlap,
        code=kept_code("decontaminate", f"{RUN}/problems/{{pool}}.parquet"),
    shell:
        "python -m reasonmaxxer decontaminate --pool {input.pool} --split {wildcards.pool}"
        " --overlap {params.overlap} --against {input.others} --out {output} > {log} 2>&1"


rule audit_problems:
    input:
        expand(f"{RUN}/problems/{{split}}.parquet", split=SPLITS),
    output:
        f"{RUN}/problems/audit.json",
    log:
        f"{RUN}/logs/audit_problems.log",
    benchmark:
        f"{RUN}/benchmarks/audit_problems.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.cpu.threads
    resources:
        **asked("cpu"),
    params:
        code=code("decontaminate"),
    shell:
        "python -m reasonmaxxer decontaminate --audit {input} --out {output} > {log} 2>&1"
