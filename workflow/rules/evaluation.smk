rule evaluation:
    input:
        forcible("evaluation"),
        [
            path
            for arm in CONFIG.arms
            for paths in files.evaluation_tables(CONFIG, RUN, arm).values()
            for path in paths
        ],


use rule sample_rollouts as sample_evaluation with:
    input:
        lambda wildcards: arm_files(wildcards.arm),
        lambda wildcards: evaluation_templates(wildcards.arm),
        problems=EVALUATED,
        checked=CHECKED,
    output:
        evaluation_files("{arm}", ".completions"),
    log:
        f"{RUN}/logs/sample_evaluation/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/sample_evaluation/{{arm}}.tsv"
    wildcard_constraints:
        arm=named([arm for arm in TOGETHER if arm not in SHARING]),
    params:
        command="evaluation",
        model=lambda wildcards: files.model_of(CONFIG, wildcards.arm).as_json(),
        prompt=lambda wildcards: evaluation_prompts(wildcards.arm),
        job=literal([jobs.evaluation_job(CONFIG, *block) for block in BLOCKS]),
        adapters=lambda wildcards: adapter_of(wildcards.arm),
        code=kept_code("evaluation", evaluation_files("{arm}", ".completions")[0]),


# The base and its adapters, one after the other or beside each other in one engine.
if SHARING:

    use rule sample_evaluation as sample_adapters with:
        input:
            model_files(),
            evaluation_templates(CONFIG.base_arm),
            [files.arm_weights(CONFIG, arm) for arm in SHARING],
            problems=EVALUATED,
            checked=CHECKED,
        output:
            [evaluation_files(arm, ".completions") for arm in SHARING],
        log:
            f"{RUN}/logs/sample_adapters.log",
        benchmark:
            f"{RUN}/benchmarks/sample_adapters.tsv"
        params:
            model=section("model"),
            prompt=literal(evaluation_prompts(CONFIG.base_arm)),
            adapters=[adapter_of(arm) for arm in SHARING],
            code=kept_code(
                "evaluation", evaluation_files(CONFIG.base_arm, ".completions")[0]
            ),


use rule sample_evaluation as sample_benchmark with:
    input:
        lambda wildcards: arm_files(wildcards.arm),
        lambda wildcards: files.prompt_files(CONFIG, wildcards.benchmark, wildcards.arm),
        problems=f"{RUN}/problems/{{benchmark}}.parquet",
        checked=CHECKED,
    output:
        f"{BLOCK}.completions.parquet",
    log:
        f"{RUN}/logs/sample_benchmark/{{arm}}.{{benchmark}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/sample_benchmark/{{arm}}.{{benchmark}}.{{shard}}.tsv"
    wildcard_constraints:
        arm=named(LISTED),
    params:
        prompt=lambda wildcards: sampling.prompt_of_arm(
            CONFIG, wildcards.arm, wildcards.benchmark
        ).as_json(),
        job=lambda wildcards: jobs.evaluation_job(
            CONFIG, wildcards.benchmark, wildcards.shard
        ),
        code=kept_code("evaluation", f"{BLOCK}.completions.parquet"),


use rule judge_rollouts as judge_evaluation with:
    input:
        completions=evaluation_files("{arm}", ".completions"),
        problems=EVALUATED,
    output:
        evaluation_files("{arm}"),
    log:
        f"{RUN}/logs/judge_evaluation/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge_evaluation/{{arm}}.tsv"
    wildcard_constraints:
        arm=named(TOGETHER),
    params:
        table="evaluation",
        verdicts=literal(
            [sampling.judging_of(CONFIG, benchmark) for benchmark, _ in BLOCKS]
        ),
        code=kept_code("verdicts", evaluation_files("{arm}")[0], "evaluation"),


use rule judge_evaluation as judge_benchmark with:
    input:
        completions=f"{BLOCK}.completions.parquet",
        problems=f"{RUN}/problems/{{benchmark}}.parquet",
    output:
        f"{BLOCK}.parquet",
    log:
        f"{RUN}/logs/judge_benchmark/{{arm}}.{{benchmark}}.{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/judge_benchmark/{{arm}}.{{benchmark}}.{{shard}}.tsv"
    wildcard_constraints:
        arm=named(LISTED),
        shard=r"s\d+-\d+",
    params:
        verdicts=lambda wildcards: sampling.judging_of(CONFIG, wildcards.benchmark),
        code=kept_code("verdicts", f"{BLOCK}.parquet", "evaluation"),
