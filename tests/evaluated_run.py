"""A run of config/test.yaml with nothing but evaluated samples of the base in it, made up."""

from pathlib import Path

from rollout_rows import rollout

from reasonmaxxer import tables

COMPLETIONS = {  # reference -> completions, with their verdict
    "2": [("It is \\boxed{2}.", "correct"), ("It is \\boxed{3}.", "incorrect")],
    "1/2": [("Half: \\boxed{0.5}", "correct"), ("I do not know", "unparseable")],
}
FLAGS = ["--configfile", "config/test.yaml", "--arm", "base", "--benchmark", "short"]


def write_run(results: Path) -> list[dict[str, str]]:
    """Write it below `results`; returns the benchmark's problems."""
    problems = [
        {"problem_id": f"p{i}", "problem": f"Ann has {i} of {answer}. What is it?"}
        | {"answer": answer, "source": "short", "level": None}
        for i, answer in enumerate(COMPLETIONS)
    ]
    rows = [
        rollout([1, 2], [3, 4], problem["problem_id"], sample)
        | {"text": text, "verdict": verdict, "answer": None, "rule": "", "reason": ""}
        | {"second": None}
        for problem in problems
        for sample, (text, verdict) in enumerate(COMPLETIONS[problem["answer"]])
    ]
    tables.write(results / "test/problems/short.parquet", "problems", problems)
    tables.write(results / "test/evaluation/base/short/s0-1.parquet", "evaluation", rows)
    return problems
