"""Stage `distillation`: a teacher arm's next-token distributions in a LoRA of the base (Eq. 4).

    L = mean over completion positions of  KL(q_t || p_theta)

on the teacher's own rollouts, q_t being the teacher's distribution over its k likeliest tokens.
Asks how few parameters hold what training changed. The loop, its schedule and its resuming are
those of `training`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .. import tables
from ..config import DistillationConfig, ModelConfig
from ..errors import UserError
from ..modeling.base_model import (
    check_ids,
    check_targets,
    load_base,
    model_settings,
    pack_adapter,
)
from ..modeling.lm_head import score, top_divergence
from ..tables.artefacts import check_adapter, read_json
from ..tables.provenance import provenance
from ..tables.scratch import work_folder
from ..training.checkpoints import add_training_arguments, saved_checkpoint
from ..training.dataset import training_steps
from ..training.loss import Losses, Rollout, Rows, prediction_rows
from ..training.lr_schedule import of_distillation
from ..training.model_card import card
from ..training.tracking import NOWHERE, Tracking
from ..training.trainer import Trainer

HELP = "distil a teacher arm into a LoRA adapter of the base"

Top = tuple[Tensor, Tensor]  # of T positions: ids [T, k] int64, log q [T, k] float32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rollouts", required=True, type=Path, help="the teacher's rollouts")
    parser.add_argument("--teacher", required=True, help="config section `model` of the teacher")
    parser.add_argument("--adapter", type=Path, help="folder of the teacher's adapter")
    add_training_arguments(parser, "distillation")
    parser.add_argument("--out", required=True, type=Path, help="folder of the adapter")
    parser.add_argument("--arm", required=True, help="the arm's name, for the model card")
    parser.add_argument("--description", required=True, help="how it was made, for the model card")
    parser.add_argument("--summary", required=True, type=Path, help="JSON of its size to write")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    model = ModelConfig.from_json(args.model_config)
    config = DistillationConfig.from_json(args.config)
    run(
        rollouts=args.rollouts,
        teacher=ModelConfig.from_json(args.teacher),
        adapter=args.adapter,
        model=model,
        config=config,
        out=args.out,
        out_log=args.out_log,
        record=args.summary,
        scratch=args.scratch,
        batch_tokens=args.batch_tokens,
        tracking=Tracking.from_args(args),
    )
    size = read_json(args.summary, "parameters", "share", "rollouts")
    body = (
        f"{size['parameters']:,} parameters, {size['share']:.2%} of the base's, learnt from "
        f"{size['rollouts']} rollouts of the teacher."
    )
    training = of_distillation(config, size["rollouts"])
    text = card(args.arm, args.description, model, training, whole=False, body=body)
    tables.write_text(args.out / "README.md", text)


def run(
    rollouts: Path,
    teacher: ModelConfig,
    adapter: Path | None,
    model: ModelConfig,
    config: DistillationConfig,
    out: Path,
    out_log: Path,
    record: Path,
    scratch: Path,
    batch_tokens: int,
    tracking: Tracking = NOWHERE,
) -> None:
    """Distil, writing the adapter's folder, its log and the share of parameters it has.

    An interrupted run goes on where it was saved. Raises `UserError` if there are no rollouts, a
    token id or a target module is none of the base's, or training diverges.
    """
    sequences = read_sequences(rollouts)
    settings = model_settings(model.path, model)
    check_targets(settings, config.target_modules, "distillation")
    for sequence in sequences:
        check_ids(sequence.ids, settings.vocab_size, f"{rollouts}: token ids")
    training = of_distillation(config, len(sequences))
    steps = training_steps(sequences, training)

    section = {"model": model.model_dump(mode="json"), **config.model_dump(mode="json")}
    inputs = [rollouts, *([adapter / "adapter_model.safetensors"] if adapter else [])]
    made_by = provenance("distillation", section, inputs, config.seed)
    folder = work_folder(scratch, made_by, model.path, teacher.path)

    targets = teacher_distributions(teacher, adapter, sequences, config.top_k, batch_tokens)
    base = load_base(model.path, model)
    parameters = base.model.num_parameters()
    distiller = Distiller(base, sequences, training)
    distiller.targets = targets
    distiller.tracking = tracking.of(made_by)
    log = distiller.fit(steps, folder, batch_tokens)
    pack_adapter(out, saved_checkpoint(folder, 1), model, training)
    tables.write(out_log, "training", log, made_by)
    own = sum(parameter.numel() for parameter in distiller.parameters.values())
    size = {"parameters": own, "share": own / parameters, "rank": config.rank}
    completions = [len(sequence.ids) - sequence.prompt_length for sequence in sequences]
    size |= {"targets": config.target_modules, "rollouts": len(sequences)}
    size |= {"generated_tokens": sum(completions), "provenance": made_by}
    tables.write_text(record, json.dumps(size, indent=1) + "\n")
    shutil.rmtree(folder)


def read_sequences(rollouts: Path) -> list[Rollout]:
    """The teacher's rollouts, all of whose positions are learnt; `UserError` if there is none."""
    columns = ["problem_id", "sample", "prompt_token_ids", "token_ids"]
    found = []
    for row in tables.rows(rollouts, "rollouts", columns):
        prompt, completion = row["prompt_token_ids"], row["token_ids"]
        ids = np.asarray(prompt + completion, dtype=np.int64)
        key = row["problem_id"], row["sample"]
        positions = np.arange(len(completion))
        found.append(Rollout(ids, len(prompt), np.zeros_like(positions), positions, *key))
    if not found:
        raise UserError(f"{rollouts}: no rollouts to distil")
    return found


@torch.no_grad()
def teacher_distributions(
    teacher: ModelConfig,
    adapter: Path | None,
    sequences: Sequence[Rollout],
    top_k: int,
    batch_tokens: int,
) -> list[Top]:
    """Of each rollout, the teacher's q_t over its k likeliest tokens at every position (Eq. 4).

    What the other tokens had is spread over these in proportion. Ids [T, k] int64, likeliest first,
    and log q [T, k] float32 in nats, on the model's device. Raises `UserError` if model or adapter
    cannot be read.
    """
    base = load_base(teacher.path, teacher)
    if adapter is not None:
        from peft import PeftModel

        check_adapter(adapter)
        PeftModel.from_pretrained(base.model, str(adapter)).eval()  # changes base.model in place
    found: list[Top | None] = [None] * len(sequences)
    batches = base.batches([len(sequence.ids) for sequence in sequences], batch_tokens)
    for batch in tqdm(batches, desc="teacher", unit="batch"):
        packed = base.pack([sequences[i].ids for i in batch])
        for states, i in zip(packed.split(base.hidden(packed)), batch, strict=True):
            first, end = sequences[i].prompt_length - 1, len(sequences[i].ids) - 1
            following = packed.input_ids.new_tensor(sequences[i].ids[first + 1 :])
            scores = score(base.head, states[first:end], following, top_k)
            found[i] = scores.top_ids, scores.top_logprobs.log_softmax(-1)
    return [top for top in found if top is not None]


class Distiller(Trainer):
    """The trainer with another loss."""

    targets: Sequence[Top]

    def loss(self, indices: Sequence[int]) -> tuple[Losses, Rows]:
        """Eq. 4 in nats, summed over these rollouts, each the mean over its positions."""
        rollouts = [self.rollouts[i] for i in indices]
        batch = self.base.pack([rollout.ids for rollout in rollouts])
        rows = prediction_rows(rollouts, self.base.device)
        hidden = self.base.hidden(batch)[rows.decisions]
        ids, logprobs = (torch.cat([self.targets[i][part] for i in indices]) for part in (0, 1))
        divergence = top_divergence(self.base.head, hidden, ids, logprobs)
        total = (rows.decision_weights * divergence).sum()
        nothing = torch.zeros_like(rows.advantages)
        return Losses(total, total.detach(), torch.zeros_like(total), nothing, nothing), rows
