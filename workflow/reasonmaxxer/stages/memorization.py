"""Stage `memorization`: how many of a benchmark's problems the base knows by heart.

It continues the first part of a problem's text greedily, without a prompt, and knows the problem if
the rest follows, blanks aside. One that completes nothing may have seen the texts reworded.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import tables
from ..config import MemorizationConfig, ModelConfig
from ..generation.engine import Engine, Prompt, Sampling, base_completions, open_engine
from ..generation.prompts import encode_texts, load_tokenizer
from ..tables.provenance import provenance
from .rollouts import add_hardware_arguments, hardware

HELP = "measure how many of a benchmark's problems the base completes verbatim"


def completed(
    problems: Mapping[str, str], engine: Engine, model: ModelConfig, config: MemorizationConfig
) -> dict[str, bool]:
    """For each problem id whether the base continues the text's beginning with its tail.

    Left out are texts of a single token, and those that the model has no room for.
    """
    tokenizer = load_tokenizer(model)
    heads, tails = [], {}
    ids = encode_texts(list(problems.values()), tokenizer)
    for problem, whole in zip(problems, ids, strict=True):
        tail = max(1, round(config.tail * len(whole)))
        if tail < len(whole) <= model.max_length:
            heads.append(Prompt(problem, whole[:-tail]))
            tails[problem] = whole[-tail:]
    if not heads:
        return {}
    room = model.max_length - max(len(head.token_ids) for head in heads)
    longest = min(max(map(len, tails.values())), room)
    greedy = Sampling(temperature=0.0, top_p=1.0, max_tokens=longest, seed=0, count=1)
    return {
        row["problem_id"]: _blanks(row["text"]).startswith(
            _blanks(tokenizer.decode(tails[row["problem_id"]], skip_special_tokens=True))
        )
        for row in base_completions(engine, heads, greedy)
    }


def _blanks(text: str) -> str:
    return " ".join(text.split())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--problems", required=True, nargs="+", type=Path, help="tables of problems"
    )
    parser.add_argument("--model-config", required=True, help="config section `model`, as JSON")
    parser.add_argument("--config", required=True, help="config section `memorization`, as JSON")
    parser.add_argument(
        "--engine",
        choices=["vllm", "transformers"],
        default="vllm",
        help="the engine that completes them",
    )
    add_hardware_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, help="JSON to write")


def main(args: argparse.Namespace) -> None:
    model = ModelConfig.from_json(args.model_config)
    config = MemorizationConfig.from_json(args.config)
    engine = open_engine(args.engine, model, hardware(args))
    found: dict[str, Any] = {}
    for path in args.problems:
        texts = {row["problem_id"]: row["problem"] for row in tables.rows(path, "problems")}
        known = completed(texts, engine, model, config)
        found[path.stem] = {
            "problems": len(known),
            "completed": [problem for problem, verbatim in known.items() if verbatim],
        }
        print(f"{path.stem}: {len(found[path.stem]['completed'])} of {len(known)} verbatim")
    made_by = provenance("memorization", config.model_dump(mode="json"), args.problems)
    content = {"tail": config.tail, "benchmarks": found, "provenance": made_by}
    tables.write_text(args.out, json.dumps(content, indent=1, sort_keys=True) + "\n")
