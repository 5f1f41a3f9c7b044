"""Samples from and to lm-eval and lighteval: why does a figure of theirs differ from ours?

A JSONL file is what lm-eval's `--log_samples` writes, a Parquet file what lighteval writes as
details. Both are read and written as data: neither package is needed. Where lm-eval is installed,
its metric for MATH (`minerva_math`) scores what is written and says where a difference comes from.
"""

import argparse
import functools
import hashlib
import importlib.util
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .. import config, tables
from ..config import Config, ModelConfig
from ..datasets.overlap import normalise
from ..datasets.readers import read_file
from ..errors import UserError
from ..generation.prompts import load_tokenizer, render
from ..graph.files import evaluation_tables
from ..graph.protocol import prompt_of_arm, protocol, verdicts_of
from ..verifier.judge import Verdict, judge_pairs
from .arguments import at_least

HELP = "exchange samples with lm-eval and lighteval, and say why figures differ"

OURS = "reasonmaxxer"  # the metric that is our verdict
KINDS = {
    "truncation": "cut off at the limit of tokens",
    "extraction": "another answer was read from the text",
    "comparison": "the same answer was compared otherwise",
    "unknown": "extraction or comparison: the file does not say which answer was read",
}
MINERVA = "Final Answer: The final answer is ${}$. I hope it is correct."


@dataclass(frozen=True)
class Sample:
    """A completion with an evaluator's verdict; `answer` is what it read, where that is told."""

    prompt: str
    completion: str
    correct: bool
    limit: int | None = None  # of tokens
    answer: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--configfile", nargs="+", required=True, help="config files of the run")
    parser.add_argument("--arm", default="reasonmaxxer", help="whose samples")
    parser.add_argument("--benchmark", required=True, help="the run's benchmark")
    parser.add_argument("--results", default="results", type=Path, help="folder of all runs")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--write", type=Path, help="write the run's samples: .jsonl or .parquet")
    way.add_argument("--read", type=Path, help="read theirs, judge them, say where verdicts differ")
    parser.add_argument("--metric", help="whose verdict is read; the file's first by default")
    parser.add_argument("--differences", type=Path, help="with --read: JSONL to write, one a line")
    parser.add_argument("--workers", type=at_least(1), default=1, help="worker processes")


def main(args: argparse.Namespace) -> None:
    run = config.load(args.configfile)
    if args.benchmark not in run.benchmarks:
        raise UserError(f"--benchmark {args.benchmark}: the run has {', '.join(run.benchmarks)}")
    evaluated = [arm for arm in run.arms if args.benchmark in run.benchmarks_of(arm)]
    if args.arm not in evaluated:
        raise UserError(f"--arm {args.arm}: evaluated on it are {', '.join(evaluated)}")
    path = args.write or args.read
    if path.suffix not in (".jsonl", ".parquet"):
        raise UserError(f"{path}: .jsonl is lm-eval's form and .parquet lighteval's")
    write(run, args) if args.write else compare(run, args)


# --- writing ------------------------------------------------------------------------------------


def write(run: Config, args: argparse.Namespace) -> None:
    """The arm's samples of the benchmark, a row each, with our verdict and lm-eval's."""
    sampling, _ = protocol(run, args.benchmark)
    prompt = prompt_of_arm(run, args.arm, args.benchmark)
    options = {"until": prompt.stop, "max_gen_toks": sampling.max_tokens}
    options |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
    found = []
    for number, (problem, row) in enumerate(_own(run, args)):
        told = render(prompt, problem["problem"], _tokenizer(run.model))
        scores = {OURS: int(row["verdict"] == "correct")}
        if args.write.suffix == ".jsonl":
            scores |= minerva(problem["answer"], row["text"])
            found.append(_lm_eval(number, problem, told, options, row["text"], scores))
        else:
            found.append(_lighteval(problem, told, options, row, scores))
    with tables.replacing(args.write) as partial:
        if args.write.suffix == ".jsonl":
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in found)
            partial.write_text("".join(lines), encoding="utf-8")
        else:
            pq.write_table(pa.Table.from_pylist(found), partial)
    print(f"wrote {args.write}: {len(found)} samples")


def _lm_eval(
    number: int,
    problem: Mapping[str, str],
    prompt: str,
    options: Mapping[str, Any],
    text: str,
    scores: Mapping[str, int],
) -> dict[str, Any]:
    answer = problem["answer"]
    doc = {"problem": problem["problem"], "solution": f"$\\boxed{{{answer}}}$", "answer": answer}
    return {
        **{"doc_id": number, "doc": doc, "target": answer},
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": options}},
        **{"resps": [[text]], "filtered_resps": [text], "filter": "none"},
        "metrics": [*(name for name in scores if name != OURS), OURS],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        **{"prompt_hash": _hash(prompt), "target_hash": _hash(answer)},
        **scores,
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _lighteval(
    problem: Mapping[str, str],
    prompt: str,
    options: Mapping[str, Any],
    row: Mapping[str, Any],
    scores: Mapping[str, int],
) -> dict[str, Any]:
    return {
        "doc": {
            **{"query": prompt, "choices": [problem["answer"]], "gold_index": [0]},
            **{"id": problem["problem_id"], "task_name": problem["source"]},
            "generation_size": options["max_gen_toks"],
            "stop_sequences": options["until"],
            "specific": {"problem": problem["problem"]},
        },
        "model_response": {
            **{"input": prompt, "text": [row["text"]], "output_tokens": [row["token_ids"]]},
            "input_tokens": row["prompt_token_ids"],
        },
        "metric": {name: float(score) for name, score in scores.items()},
    }


def minerva(reference: str, completion: str) -> dict[str, int]:
    """The verdicts of lm-eval's `minerva_math` (exact_match, math_verify); none without it."""
    if importlib.util.find_spec("lm_eval") is None:
        return {}
    from lm_eval.tasks.minerva_math.utils import normalize_final_answer, process_results

    doc = {"answer": normalize_final_answer(reference), "solution": f"$\\boxed{{{reference}}}$"}
    return {name: int(score) for name, score in process_results(doc, [completion]).items()}


# --- reading ------------------------------------------------------------------------------------


def read_samples(path: Path, metric: str | None) -> tuple[str, list[Sample]]:
    """The metric, and every sample of a file of lm-eval or lighteval.

    Raises:
        UserError: if it is of another form, or has no such metric.
    """
    read = _of_lm_eval if path.suffix == ".jsonl" else _of_lighteval
    samples = []
    for row in read_file(path):
        try:
            name, sample = read(row.values, metric)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(
                f"{row.place}: not a sample of lm-eval (.jsonl) or lighteval (.parquet), or "
                f"without the metric: {type(error).__name__}: {error}"
            ) from error
        metric = metric or name
        samples.append(sample)
    if metric is None:
        raise UserError(f"{path}: contains no sample")
    return metric, samples


def _of_lm_eval(row: Mapping[str, Any], metric: str | None) -> tuple[str, Sample]:
    name = metric or row["metrics"][0]
    (completion,), (filtered,) = row["resps"][0], row["filtered_resps"]
    given = row["arguments"]["gen_args_0"]
    limit = given["arg_1"].get("max_gen_toks")
    answer = None if filtered == completion else filtered  # a filter has taken it out
    return name, Sample(given["arg_0"], completion, float(row[name]) > 0.5, limit, answer)


def _of_lighteval(row: Mapping[str, Any], metric: str | None) -> tuple[str, Sample]:
    name = metric or next(iter(row["metric"]))
    (completion,) = row["model_response"]["text"]
    doc = row["doc"]
    return name, Sample(
        doc["query"], completion, float(row["metric"][name]) > 0.5, doc.get("generation_size")
    )


def compare(run: Config, args: argparse.Namespace) -> None:
    """Judge their samples, and print where verdicts differ, by kind."""
    metric, samples = read_samples(args.read, args.metric)
    problems = list(tables.rows(_problems(run, args), "problems"))
    matched = list(_matched(samples, problems))
    if not matched:
        raise UserError(
            f"{args.read}: no prompt contains a problem of {args.benchmark}; check --benchmark"
        )
    pairs = ((problem["answer"], sample.completion) for problem, sample in matched)
    options = verdicts_of(run, args.benchmark)
    verdicts = list(judge_pairs(pairs, workers=args.workers, options=options))
    differences: list[dict[str, Any]] = []
    for (problem, sample), verdict in zip(matched, verdicts, strict=True):
        if sample.correct != (verdict.verdict == "correct"):
            kind = kind_of(problem["answer"], sample, verdict, metric, _tokenizer(run.model))
            differences.append(
                {
                    **{"problem_id": problem["problem_id"], "kind": kind, metric: sample.correct},
                    **{"reference": problem["answer"], "read": sample.answer},
                    **{OURS: verdict._asdict(), "completion": sample.completion},
                }
            )
    prompt = prompt_of_arm(run, args.arm, args.benchmark)
    other = sum(
        sample.prompt.strip() != render(prompt, problem["problem"], _tokenizer(run.model)).strip()
        for problem, sample in matched
    )
    of = len(matched)
    print(f"{of} of {len(samples)} samples are of problems of {args.benchmark}")
    print(f"{metric}: {sum(sample.correct for _, sample in matched) / of:.3f} solved")
    print(f"our judge, the same texts: {_share(verdict.verdict for verdict in verdicts)}")
    for kind, count in Counter(row["kind"] for row in differences).most_common():
        gained = sum(not row[metric] for row in differences if row["kind"] == kind)
        print(f"  {kind}: {count}, of which {gained} are right here alone: {KINDS[kind]}")
    known = {problem["problem_id"] for problem, _ in matched}
    own = [row["verdict"] for problem, row in _own(run, args) if problem["problem_id"] in known]
    print(f"our judge, the run's texts: {_share(own)}")
    print(f"  prompt: {other} of {of} prompts are not the run's")
    if args.differences:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in differences)
        tables.write_text(args.differences, "".join(lines))


def kind_of(reference: str, sample: Sample, verdict: Verdict, metric: str, tokenizer: Any) -> str:
    """Why two verdicts on one text differ, one of `KINDS`.

    Where the file does not tell the answer that was read, lm-eval's metric is given ours in the
    words that it looks for: if that changes its verdict, it had read another one.
    """
    if sample.limit and len(tokenizer(sample.completion)["input_ids"]) >= sample.limit:
        return "truncation"
    if verdict.answer is None:
        return "extraction"
    if sample.answer is not None:
        same = normalise(sample.answer) == normalise(verdict.answer)
        return "comparison" if same else "extraction"
    again = minerva(reference, MINERVA.format(verdict.answer)).get(metric)
    if again is None:
        return "unknown"
    return "comparison" if again == sample.correct else "extraction"


def _matched(
    samples: list[Sample], problems: list[dict[str, str]]
) -> Iterator[tuple[dict[str, str], Sample]]:
    """Each sample with the last problem, and of several the longest, that its prompt contains."""
    known = [(normalise(row["problem"]), row) for row in problems]
    for sample in samples:
        prompt = normalise(sample.prompt)
        inside = [
            (prompt.rfind(text) + len(text), len(text), row)
            for text, row in known
            if text in prompt
        ]
        if inside:  # examples may stand before it
            yield max(inside, key=lambda found: found[:2])[2], sample


def _own(run: Config, args: argparse.Namespace) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """The run's samples of the benchmark, each with its problem."""
    problems = {row["problem_id"]: row for row in tables.rows(_problems(run, args), "problems")}
    for path in evaluation_tables(run, f"{args.results / run.run}", args.arm)[args.benchmark]:
        for row in tables.rows(path, "evaluation"):
            yield problems[row["problem_id"]], row


@functools.cache
def _tokenizer(model: ModelConfig) -> Any:
    return load_tokenizer(model)


def _problems(run: Config, args: argparse.Namespace) -> Path:
    return args.results / run.run / "problems" / f"{args.benchmark}.parquet"


def _share(verdicts: Any) -> str:
    found = list(verdicts)
    return f"{found.count('correct') / len(found):.3f} solved" if found else "no sample"
