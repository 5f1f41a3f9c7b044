"""Stage `side_by_side`: some completions of base and main arm, as both models see every token.

At each position stand the base's entropy and likeliest tokens, and the trained model's
probabilities of these: what training re-ranked, and that it left the rest alone.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch

from .. import tables
from ..analysis.pairs import choose_pairs
from ..analysis.results import load_scores
from ..config import ModelConfig
from ..modeling.base_model import Base, load_base
from ..modeling.lm_head import sampled_logprobs, score
from ..tables.artefacts import check_adapter
from ..tables.provenance import provenance
from .entropies import score_rollouts

HELP = "score completions of base and main arm on the same problems under both models"

TOKENS = 600  # of a completion
TOP = 5

Row = dict[str, Any]


def chosen_rows(job: Mapping[str, Any]) -> list[Row]:
    """First samples of base and main arm on the chosen problems, with `benchmark` and `arm`."""
    suite = {
        benchmark: {
            arm: load_scores(paths[benchmark], arm, benchmark, samples)
            for arm, paths in job["evaluation"].items()
        }
        for benchmark, samples in job["samples"].items()
    }
    pairs = choose_pairs(suite, job["base"], job["main"])
    return [
        {**row, "benchmark": benchmark, "arm": arm, "token_ids": row["token_ids"][:TOKENS]}
        for benchmark in suite
        for arm, paths in job["evaluation"].items()
        for row in first_samples(
            paths[benchmark], {p.problem_id for p in pairs if p.benchmark == benchmark}
        )
        if row["token_ids"]
    ]


def first_samples(paths: Sequence[str], problems: set[str]) -> list[Row]:
    columns = ["problem_id", "sample", "prompt_token_ids", "token_ids"]
    return [
        row
        for path in paths
        for batch in tables.iter_batches(path, "evaluation", columns)
        for row in batch.filter(pc.equal(batch["sample"], 0)).to_pylist()
        if row["problem_id"] in problems
    ]


def read(rows: Sequence[Row], base: Base, adapter: Path) -> list[Row]:
    """Rows of the table `side_by_side`. Puts the adapter into `base`."""
    from peft import PeftModel

    check_adapter(adapter)
    before = [score_rollouts(base, [row], TOP, 1) for row in rows]
    PeftModel.from_pretrained(base.model, str(adapter)).eval()
    found = []
    for row, scores in zip(rows, before, strict=True):
        top = np.asarray(scores["top_ids"].to_pylist())
        after = _trained(base, row, top)
        place = {key: row[key] for key in ("benchmark", "arm", "problem_id")}
        for position in range(len(row["token_ids"])):
            found.append(
                {
                    **place,
                    **{"position": position, "token_id": row["token_ids"][position]},
                    "entropy": scores["entropy"][position],
                    "logprob": scores["logprob"][position],
                    "top_ids": top[position],
                    "top_logprobs": scores["top_logprobs"][position].as_py(),
                    **{key: values[position] for key, values in after.items()},
                }
            )
    return found


@torch.inference_mode()
def _trained(base: Base, row: Row, top: np.ndarray) -> dict[str, Any]:
    """The trained model's entropy, log-prob of the token, and of the base's likeliest [N, k]."""
    prompt, completion = row["prompt_token_ids"], row["token_ids"]
    hidden = base.hidden(base.pack([prompt + completion]))[len(prompt) - 1 :][: len(completion)]
    sampled = torch.tensor(completion, device=base.device)
    own = score(base.head, hidden, sampled, 1)
    ids = torch.from_numpy(top.astype(np.int64)).to(base.device)
    repeated = hidden.repeat_interleave(ids.shape[1], dim=0)
    same = sampled_logprobs(base.head, repeated, ids.flatten()).reshape(ids.shape)
    return {
        "trained_entropy": own.entropy.tolist(),
        "trained_logprob": own.logprob.tolist(),
        "trained_top_logprobs": same.tolist(),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--job",
        required=True,
        help="JSON: base and main (arms), evaluation (arm -> benchmark -> tables), "
        "samples (benchmark -> number)",
    )
    parser.add_argument("--model-config", required=True, help="config section `model`, as JSON")
    parser.add_argument("--adapter", required=True, type=Path, help="folder of main's adapter")
    parser.add_argument("--threads", type=int, default=1, help="number of CPU cores")
    parser.add_argument("--out", required=True, type=Path, help="table `side_by_side` to write")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    job, model = json.loads(args.job), ModelConfig.from_json(args.model_config)
    rows = chosen_rows(job)
    files = [p for of_arm in job["evaluation"].values() for paths in of_arm.values() for p in paths]
    made_by = provenance("side_by_side", {"model": model.model_dump(mode="json")}, files)
    found = read(rows, load_base(model.path, model), args.adapter)
    tables.write(args.out, "side_by_side", found, made_by)
