rule evaluation:
    input:
        forcible("evaluation"),
        [
            file
            for arm in CONFIG.arms
            for benchmark in CONFIG.benchmarks_of(arm)
            for file in evaluation_files(arm, benchmark)
        ],


use rule sample_rollouts as sample_evaluation with:
    input:
        lambda wildcards: (
            []
            if CONFIG.is_whole(wildcards.arm)
            else model_files(files.model_of(CONFIG, wildcards.arm).path)
        ),
        lambda wildcards: files.prompt_files(CONFIG, wildcards.benchmark, wildcards.arm),
        problems=f"{RUN}/problems/{{benchmark}}.parquet",
        checked=CHECKED,
        weights=lambda wildcards: files.arm_weights(CONFIG, wildcards.arm),
    output:
        f"{RUN}/evaluation/{{arm}}/{{benchmark}}/{{shard}}.completions.parquet",
    log:
        f"{RUN}/logs/sample_evaluation/{{arm}}.{{benchmark}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/sample_evaluation/{{arm}}.{{benchmark}}.{{shard}}.tsv"
    params:
        command="evaluation",
        model=lambda wildcards: files.model_of(CONFIG, wildcards.arm).as_json(),
        prompt=lambda wildcards: sampling.prompt_of_arm(
            CONFIG, wildcards.arm, wildcards.benchmark
        ).as_json(),
        job=lambda wildcards: jobs.evaluation_job(
            CONFIG, wildcards.benchmark, wildcards.shard
        ),
        adapter=lambda wildcards: adapter_of(wildcards.arm),
        code=kept_code(
            "evaluation",
            f"{RUN}/evaluation/{{arm}}/{{benchmark}}/{{shard}}.completions.parquet",
        ),


use rule judge_rollouts as judge_evaluation with:
    input:
        completions=f"{RUN}/evaluation/{{arm}}/{{benchmark}}/{{shard}}.completions.parquet",
        problems=f"{RUN}/problems/{{benchmark}}.parquet",
    output:
        f"{RUN}/evaluation/{{arm}}/{{benchmark}}/{{shard}}.parquet",
    log:
        f"{RUN}/logs/judge_evaluation/{{arm}}.{{benchmark}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge_evaluation/{{arm}}.{{benchmark}}.{{shard}}.tsv"
    wildcard_constraints:
        shard=r"s\d+-\d+",
    params:
        table="evaluation",
        verdicts=lambda wildcards: sampling.judging_of(CONFIG, wildcards.benchmark),
        code=kept_code(
            "verdicts",
            f"{RUN}/evaluation/{{arm}}/{{benchmark}}/{{shard}}.parquet",
            "evaluation",
        ),
