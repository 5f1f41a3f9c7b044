rule capability:
    input:
        forcible("capability"),
        lambda wildcards: footprint_part("capability", *capability_files()),


# Many samples of a few arms, by the same commands as an evaluation.
use rule sample_rollouts as sample_capability with:
    input:
        lambda wildcards: arm_files(wildcards.arm),
        lambda wildcards: footprint_template(),
        problems=lambda wildcards: footprint_problems(),
        checked=CHECKED,
    output:
        f"{FOOTPRINT}/capability/{{arm}}.completions.parquet",
    log:
        f"{RUN}/logs/sample_capability/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/sample_capability/{{arm}}.tsv"
    params:
        command="evaluation",
        model=lambda wildcards: files.model_of(CONFIG, wildcards.arm).as_json(),
        prompt=lambda wildcards: footprint_prompt(),
        job=lambda wildcards: footprint.capability_job(CONFIG),
        adapters=lambda wildcards: adapter_of(wildcards.arm),
        code=kept_code(
            "evaluation",
            f"{FOOTPRINT}/capability/{{arm}}.completions.parquet",
            "capability",
        ),


use rule judge_rollouts as judge_capability with:
    input:
        completions=f"{FOOTPRINT}/capability/{{arm}}.completions.parquet",
        problems=lambda wildcards: footprint_problems(),
    output:
        f"{FOOTPRINT}/capability/{{arm}}.parquet",
    log:
        f"{RUN}/logs/judge_capability/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge_capability/{{arm}}.tsv"
    params:
        table="evaluation",
        verdicts=lambda wildcards: footprint_verdicts(),
        code=kept_code(
            "verdicts", f"{FOOTPRINT}/capability/{{arm}}.parquet", "capability"
        ),
