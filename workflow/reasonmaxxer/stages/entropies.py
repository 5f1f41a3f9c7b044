"""Stage `entropies`: what the frozen base thinks of every sampled token.

Each rollout is run through the base once, over the token ids that were sampled. For every
completion position: the entropy of the base's prediction (Eq. 2), the log-prob of the sampled
token, and the likeliest tokens, all at temperature 1.
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from tqdm import tqdm

from .. import tables
from ..config import EntropiesConfig, ModelConfig
from ..errors import UserError
from ..modeling.base_model import Base, check_ids, load_base, model_settings
from ..modeling.hidden_states import join_states, writing_states
from ..modeling.lm_head import score
from ..tables.provenance import provenance
from ..tables.scratch import work_folder

HELP = "score rollouts under the base: entropy, log-prob and likeliest tokens at each position"

SCORES = ("entropy", "logprob", "top_ids", "top_logprobs")  # of `lm_head.TokenScores`
COLUMNS = ["problem_id", "sample", "prompt_token_ids", "token_ids"]
# Rollouts are scored and kept in parts of about this many tokens: the unit of resuming, and the
# window within which sequences of like length are brought together.
PART_TOKENS = 1 << 17


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rollouts", required=True, type=Path, help="tables of the rollouts to score"
    )
    parser.add_argument("--model-config", required=True, help="config section `model` as JSON")
    parser.add_argument("--config", required=True, help="config section `entropies` as JSON")
    parser.add_argument("--out", required=True, type=Path, help="table `entropies` to write")
    parser.add_argument(
        "--states-out", type=Path, help="file to keep the base's hidden states in, for training"
    )
    parser.add_argument("--scratch", required=True, type=Path, help="folder for unfinished work")
    parser.add_argument(
        "--batch-tokens", type=int, default=16384, help="maximum number of tokens in a batch"
    )
    parser.add_argument("--threads", type=int, default=1, help="number of CPU cores")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    model, config = ModelConfig.from_json(args.model_config), EntropiesConfig.from_json(args.config)
    run(args.rollouts, model, config, args.out, args.scratch, args.batch_tokens, args.states_out)


def run(
    rollouts: Path,
    model: ModelConfig,
    config: EntropiesConfig,
    out: Path,
    scratch: Path,
    batch_tokens: int,
    states_out: Path | None = None,
) -> None:
    """Score `rollouts` into `out`; parts that an interrupted run finished are not scored again.

    With `states_out` the hidden states are kept there, as the tensor `states` [tokens, H]. Raises
    `UserError` if the rollouts cannot have come from this model, or it cannot be read.
    """
    section = {"model": model.model_dump(mode="json"), **config.model_dump(mode="json")}
    record = provenance("entropies", section, inputs=[rollouts])
    check_rollouts(rollouts, model_settings(model.path, model).vocab_size)

    folder = work_folder(scratch, [record, bool(states_out)], model.path)
    finished: list[Path] = []
    base: Base | None = None
    with tqdm(total=tables.num_rows(rollouts, "rollouts"), unit="rollout", desc="scoring") as bar:
        for index, part in enumerate(_parts(rollouts)):
            path = folder / f"part-{index:06d}.parquet"
            if not path.exists():
                base = base or load_base(model.path, model)
                with _part_states(base, part, path) if states_out else nullcontext() as states:
                    columns = score_rollouts(base, part, config.top_k, batch_tokens, states)
                tables.write(path, "entropies", columns, record)
            finished.append(path)
            bar.update(len(part))
    if states_out:
        join_states([path.with_suffix(".safetensors") for path in finished], states_out)
    with tables.open_writer(out, "entropies", record) as writer:
        for path in finished:
            for table in tables.iter_batches(path, "entropies"):
                writer.write({name: table[name] for name in table.column_names})
    shutil.rmtree(folder, ignore_errors=True)


def _part_states(
    base: Base, rollouts: list[dict[str, Any]], path: Path
) -> AbstractContextManager[Tensor]:
    """Where the hidden states of a part go: a file beside the part's own."""
    keys = [
        (row["problem_id"], row["sample"], len(row["prompt_token_ids"]) + len(row["token_ids"]))
        for row in rollouts
    ]
    return writing_states(path.with_suffix(".safetensors"), base.dtype, base.width, keys)


def check_rollouts(path: Path, vocabulary: int) -> None:
    """Raise `UserError` if a token id is none of the model's, or a prompt has no token."""
    for table in tables.iter_batches(path, "rollouts", ["prompt_token_ids", "token_ids"]):
        for column in table.column_names:
            ids = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            check_ids(ids, vocabulary, f"{path}: {column}")
        lengths = table["prompt_token_ids"].combine_chunks().value_lengths()
        if len(lengths) and lengths.to_numpy(zero_copy_only=False).min() < 1:
            raise UserError(f"{path}: prompt_token_ids: a prompt without tokens cannot be scored")


def _parts(rollouts: Path) -> Iterator[list[dict[str, Any]]]:
    """The rollouts in parts of about `PART_TOKENS` tokens, in the file's order."""
    part: list[dict[str, Any]] = []
    tokens = 0
    for row in tables.rows(rollouts, "rollouts", COLUMNS):
        part.append(row)
        tokens += len(row["prompt_token_ids"]) + len(row["token_ids"])
        if tokens >= PART_TOKENS:
            yield part
            part, tokens = [], 0
    if part:
        yield part


@torch.inference_mode()
def score_rollouts(
    base: Base,
    rollouts: list[dict[str, Any]],
    top_k: int,
    batch_tokens: int,
    states: Tensor | None = None,
) -> dict[str, Any]:
    """Score the completions of these rollouts under the base (Eq. 2 and log-probs, in nats).

    Args:
        base: the frozen base.
        rollouts: rows with the columns `COLUMNS`, whose completions have N tokens together.
        top_k: how many of the likeliest tokens, k; at most the vocabulary.
        batch_tokens: most tokens of a batch.
        states: [tokens, H] in the base's dtype, to take the hidden states of all tokens, prompts
            included, in the order of the rollouts.

    Returns:
        Columns of the table `entropies`, N rows in the order of the rollouts: `entropy` and
        `logprob` are [N] float32, `top_ids` and `top_logprobs` are N lists of k.
    """
    sequences = [
        np.asarray(row["prompt_token_ids"] + row["token_ids"], dtype=np.int64) for row in rollouts
    ]
    completions = np.array([len(row["token_ids"]) for row in rollouts])
    starts = np.cumsum(completions) - completions
    ends = np.cumsum([len(sequence) for sequence in sequences]).tolist()
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("place", *SCORES)}
    for batch in base.batches([len(sequence) for sequence in sequences], batch_tokens):
        packed = base.pack([sequences[i] for i in batch])
        predicting, targets = [], []
        for hidden, i in zip(packed.split(base.hidden(packed)), batch, strict=True):
            if states is not None:
                states[ends[i] - len(hidden) : ends[i]] = hidden
            first = len(hidden) - completions[i]
            predicting.append(hidden[first - 1 : -1])
            found["place"].append(starts[i] + np.arange(completions[i]))
            targets.append(sequences[i][first:])
        sampled = torch.from_numpy(np.concatenate(targets)).to(base.device)
        scores = score(base.head, torch.cat(predicting), sampled, top_k)
        for name in SCORES:
            found[name].append(getattr(scores, name).cpu().numpy())
    place, *scored = (np.concatenate(parts) for parts in found.values())
    entropy, logprob, top_ids, top_logprobs = (values[np.argsort(place)] for values in scored)
    owner = np.repeat(np.arange(len(rollouts)), completions)
    problems = pa.array([row["problem_id"] for row in rollouts], pa.string())
    return {
        "problem_id": problems.take(pa.array(owner)),
        "sample": np.array([row["sample"] for row in rollouts], dtype=np.int32)[owner],
        "position": (np.arange(len(owner)) - starts[owner]).astype(np.int32),
        "token_id": np.concatenate([row["token_ids"] for row in rollouts]).astype(np.int32),
        **{"entropy": entropy, "logprob": logprob},
        **{"top_ids": _lists(top_ids.astype(np.int32)), "top_logprobs": _lists(top_logprobs)},
    }


def _lists(values: np.ndarray) -> pa.ListArray:
    """A matrix [N, k] as N lists."""
    count, width = values.shape
    offsets = pa.array(np.arange(0, (count + 1) * width, width, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))
