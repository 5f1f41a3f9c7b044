"""Stage `footprint`: at which positions of a text a teacher would choose another token (Eq. 3).

Every completion is run through base and teacher once. A position is unshifted where both have the
same likeliest token, reranked where the teacher's is another of the base's top 5, and shifted
where it lies beyond.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .. import tables
from ..generation.teacher import Pair, add_pair_arguments, entropies, pair_of, ranks
from ..modeling.base_model import check_ids
from ..tables.provenance import provenance

HELP = "compare a teacher's choices with the base's at every position of a text"

COLUMNS = ["problem_id", "sample", "prompt_token_ids", "token_ids"]
ROWS_A_PART = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rollouts", required=True, nargs="+", type=Path, help="tables of texts")
    parser.add_argument(
        "--samples",
        type=int,
        nargs="+",
        help="use only so many texts of each problem, the first ones: the least of these numbers",
    )
    add_pair_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, help="table `footprint` to write")


def main(args: argparse.Namespace) -> None:
    pair, files = pair_of(args)
    samples = min(args.samples) if args.samples else None
    made_by = provenance("footprint", {"samples": samples}, [*args.rollouts, *files])
    texts = (
        row
        for path in args.rollouts
        for row in tables.rows(path, "rollouts", COLUMNS)
        if samples is None or row["sample"] < samples
    )
    with (
        tables.open_writer(args.out, "footprint", made_by) as writer,
        tqdm(desc="footprint", unit="text", file=sys.stderr) as bar,
    ):
        while part := list(islice(texts, ROWS_A_PART)):
            writer.write(list(footprint(pair, part, args.batch_tokens)))
            bar.update(len(part))


@torch.inference_mode()
def footprint(
    pair: Pair, texts: Sequence[dict[str, Any]], batch_tokens: int = 16384
) -> Iterator[dict[str, Any]]:
    """Compare base and teacher at every position of these completions (Eq. 2 and 3).

    Rows of the table `footprint`, a position each: the base's entropy in nats, both models'
    likeliest tokens, and the rank that the base gives the teacher's, from 1. Raises `UserError` if
    a text holds a token id outside the vocabulary.
    """
    sequences = [
        np.asarray(row["prompt_token_ids"] + row["token_ids"], dtype=np.int64) for row in texts
    ]
    for sequence in sequences:
        check_ids(sequence, pair.base.head.vocabulary, "footprint: token_ids")
    for batch in pair.base.batches([len(sequence) for sequence in sequences], batch_tokens):
        packed = pair.base.pack([sequences[i] for i in batch])
        # The predictions of completion tokens, and whose they are.
        states = [
            torch.cat(
                [
                    states[len(texts[i]["prompt_token_ids"]) - 1 : -1]
                    for states, i in zip(packed.split(model.hidden(packed)), batch, strict=True)
                ]
            )
            for model in (pair.base, pair.teacher)
        ]
        places = [(i, position) for i in batch for position in range(len(texts[i]["token_ids"]))]
        for (i, position), *found in zip(places, *_compared(pair, *states), strict=True):
            text = texts[i]
            yield {
                **{"problem_id": text["problem_id"], "sample": text["sample"]},
                **{"position": position, "token_id": text["token_ids"][position]},
                **dict(zip(("entropy", "base_token", "teacher_token", "rank"), found, strict=True)),
            }


def _compared(pair: Pair, base_states: Tensor, teacher_states: Tensor) -> list[list[Any]]:
    """Entropy, the base's token, the teacher's token and its rank, of N positions."""
    parts = []
    for rows in pair.base.head.tiles(len(base_states)):
        logits = pair.base.head.logits(base_states[rows])
        promoted = pair.teacher.head.logits(teacher_states[rows]).argmax(-1)
        parts.append((entropies(logits), logits.argmax(-1), promoted, ranks(logits, promoted)))
    return [torch.cat(column).tolist() for column in zip(*parts, strict=True)]
