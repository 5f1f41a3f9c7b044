"""Stage `grpo`: reinforcement learning with the verifier's rewards, by TRL's GRPOTrainer.

The yardstick, from the same base, problems and prompt. What is ours here is the wiring: prompts as
every arm has them, rewards from the verifier, checkpoints to resume from, a log with costs.
"""

import argparse
import json
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import tables
from ..config import GrpoConfig, ModelConfig, PromptConfig, VerdictsConfig
from ..errors import UserError
from ..generation.prompts import encode, eos_token_ids, load_tokenizer, render, stop_ids, trim_stop
from ..modeling import flops
from ..modeling.base_model import check_targets, lora_config, model_settings
from ..modeling.cpu_kernels import keep_freed_memory
from ..modeling.device import on_gpu
from ..modeling.dimensions import Dimensions
from ..tables.artefacts import copy_tensors
from ..tables.provenance import provenance
from ..tables.scratch import work_folder
from ..training.checkpoints import (
    add_checkpoints_argument,
    add_training_arguments,
    check_number,
    hand_over,
    saved_checkpoint,
)
from ..training.lr_schedule import checkpoint_steps, of_grpo, rollouts_per_step
from ..training.tracking import NOWHERE, Report, Tracking
from ..verifier.extraction.transcript import opens_thinking
from ..verifier.judge import judge_pairs

HELP = "train an arm by reinforcement learning (GRPO) with the verifier's rewards"

SAVE_SECONDS = 120.0
WEIGHTS = ("adapter_model.safetensors", "model.safetensors")
# Keys of the section that TRL calls the same.
SAME_NAMES = {
    *("num_generations", "temperature", "top_p", "learning_rate", "warmup_steps", "weight_decay"),
    *("max_grad_norm", "beta", "epsilon", "loss_type", "seed"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--problems", required=True, type=Path, help="table of training problems")
    parser.add_argument("--prompt", required=True, help="config section `prompt` as JSON")
    parser.add_argument("--verdicts", required=True, help="config section `verdicts` as JSON")
    add_training_arguments(parser, "grpo", table="grpo")
    add_checkpoints_argument(parser)


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    run(
        problems=args.problems,
        model=ModelConfig.from_json(args.model_config),
        prompt=PromptConfig.from_json(args.prompt),
        verdicts=VerdictsConfig.from_json(args.verdicts),
        config=GrpoConfig.from_json(args.config),
        out_log=args.out_log,
        checkpoints=args.checkpoints,
        scratch=args.scratch,
        batch_tokens=args.batch_tokens,
        workers=args.threads,
        tracking=Tracking.from_args(args),
    )


def run(
    problems: Path,
    model: ModelConfig,
    prompt: PromptConfig,
    verdicts: VerdictsConfig,
    config: GrpoConfig,
    out_log: Path,
    checkpoints: Sequence[Path],
    scratch: Path,
    batch_tokens: int,
    workers: int = 1,
    tracking: Tracking = NOWHERE,
) -> None:
    """Train, writing `checkpoints` and the log. An interrupted run goes on where it was saved."""
    check_number(checkpoints, config.checkpoints, "grpo")
    if config.rank is not None:
        check_targets(model_settings(model.path, model), config.target_modules, "grpo")
    sections = {"model": model, "prompt": prompt, "verdicts": verdicts, "grpo": config}
    section = {name: value.model_dump(mode="json") for name, value in sections.items()}
    record = provenance("grpo", section, inputs=[problems], seed=config.seed)
    folder = work_folder(scratch, record, model.path)

    tokenizer = load_tokenizer(model)
    reward = Reward(tokenizer, prompt, verdicts, workers)
    rows = training_rows(problems, model, prompt, tokenizer)
    trainer = make_trainer(model, prompt, config, rows, reward, tokenizer, folder, batch_tokens)
    saved = last_saved(folder)
    if saved is not None:
        # It may have been killed before its copy was made, and is not saved again.
        keep_weights(saved, folder, checkpoint_steps(of_grpo(config)))
    with tracking.of(record).open("train") as report:
        trainer.add_callback(_callback(folder, checkpoint_steps(of_grpo(config)), report))
        trainer.train(resume_from_checkpoint=saved and str(saved))
    hand_over(folder, checkpoints)
    tables.write(out_log, "grpo", log_rows(trainer, config), record)
    shutil.rmtree(folder)


class Reward:
    """1 for a correct completion, 0 for any other, by the verifier that judges every arm."""

    __name__ = "correct"

    def __init__(
        self, tokenizer: Any, prompt: PromptConfig, verdicts: VerdictsConfig, workers: int
    ) -> None:
        self._tokenizer, self._stop = tokenizer, stop_ids(prompt, tokenizer)[1]
        self._verdicts, self._workers = verdicts, workers
        self._thinking = opens_thinking(render(prompt, "", tokenizer))

    def __call__(
        self, completion_ids: Sequence[list[int]], answer: Sequence[str], **_: Any
    ) -> list[float]:
        """Called by TRL with the sampled ids and the column `answer` of the training rows."""
        texts = [trim_stop(ids, self._tokenizer, self._stop)[1] for ids in completion_ids]
        pairs = zip(answer, texts, strict=True)
        judged = judge_pairs(
            pairs, workers=self._workers, options=self._verdicts, thinking=self._thinking
        )
        return [float(verdict.verdict == "correct") for verdict in judged]


def training_rows(
    problems: Path, model: ModelConfig, prompt: PromptConfig, tokenizer: Any
) -> list[dict[str, str]]:
    """{prompt, answer} of each problem. TRL takes a prompt as text and makes ids of it itself.

    Raises `UserError` where that gives other ids than the other stages have.
    """
    read = list(tables.rows(problems, "problems", ["problem", "answer"]))
    texts = [render(prompt, row["problem"], tokenizer) for row in read]
    wanted = encode(prompt, [row["problem"] for row in read], tokenizer)
    bos = tokenizer.bos_token
    if bos and tokenizer(texts[:1])["input_ids"] != wanted[:1]:
        # A template that spells the beginning-of-sequence token gets it twice.
        texts = [text.removeprefix(bos) for text in texts]
    if tokenizer(texts)["input_ids"] != wanted:
        raise UserError(
            f"model.path: {model.path}: its tokenizer adds special tokens to a prompt that the "
            "other stages do not have; GRPO cannot be trained on the same prompts"
        )
    return [{"prompt": t, "answer": r["answer"]} for t, r in zip(texts, read, strict=True)]


def make_trainer(
    model: ModelConfig,
    prompt: PromptConfig,
    config: GrpoConfig,
    rows: list[dict[str, str]],
    reward: Reward,
    tokenizer: Any,
    folder: Path,
    batch_tokens: int,
) -> Any:
    """TRL's trainer (a `trl.GRPOTrainer`), ready to train."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import GRPOTrainer

    gpu = on_gpu()
    whole = config.rank is None
    half = gpu and model.dtype != "float32"
    torch.manual_seed(config.seed)
    # All parameters are trained in float32, whatever the model is run in.
    loaded = AutoModelForCausalLM.from_pretrained(
        model.path,
        revision=model.revision,
        dtype=getattr(torch, model.dtype) if half and not whole else torch.float32,
        use_safetensors=True,
    )
    ends, _ = stop_ids(prompt, tokenizer)
    loaded.generation_config.eos_token_id = sorted({*eos_token_ids(model, tokenizer), *ends})
    order = prompt_order(len(rows), config)
    longest = max(len(ids) for ids in tokenizer([row["prompt"] for row in rows])["input_ids"])
    batch = batch_size(rollouts_per_step(config), batch_tokens, longest + config.max_tokens)
    return GRPOTrainer(
        model=loaded,
        reward_funcs=reward,
        args=trl_settings(
            config,
            output_dir=str(folder),
            per_device_train_batch_size=batch,
            use_cpu=not gpu,
            bf16=half and model.dtype == "bfloat16",
            fp16=half and model.dtype == "float16",
            gradient_checkpointing=gpu,
        ),
        train_dataset=Dataset.from_list([rows[index] for index in order]),
        processing_class=tokenizer,
        peft_config=None if whole else lora_config(of_grpo(config), model.path),
    )


def trl_settings(config: GrpoConfig, per_device_train_batch_size: int, **machine: Any) -> Any:
    """The section `grpo` in TRL's terms, a `trl.GRPOConfig`."""
    from trl import GRPOConfig

    return GRPOConfig(
        **config.model_dump(include=SAME_NAMES),
        per_device_train_batch_size=per_device_train_batch_size,
        gradient_accumulation_steps=rollouts_per_step(config) // per_device_train_batch_size,
        max_completion_length=config.max_tokens,
        max_steps=config.steps,
        lr_scheduler_type="constant_with_warmup",
        shuffle_dataset=False,  # `prompt_order` did
        logging_steps=1,
        save_strategy="no",  # `_callback` says when
        save_total_limit=1,
        report_to="none",
        **machine,
    )


def prompt_order(problems: int, config: GrpoConfig) -> list[int]:
    """Which problem comes when, over the whole run: each round over them in a new random order.

    The run is one epoch to the trainer, which does not find its place in the order of a second
    one when it resumes.
    """
    rng = np.random.default_rng(config.seed)
    wanted = config.steps * config.prompts_per_step
    rounds = [rng.permutation(problems) for _ in range(-(-wanted // problems))]
    return np.concatenate(rounds)[:wanted].tolist()


def batch_size(rollouts: int, batch_tokens: int, length: int) -> int:
    """The largest divisor of a step's rollouts whose batch stays within `batch_tokens`."""
    divisors = (n for n in range(1, rollouts + 1) if rollouts % n == 0)
    return max((n for n in divisors if n * length <= batch_tokens), default=1)


def _callback(folder: Path, steps: Sequence[int], report: Report) -> Any:
    """Saves at `steps` and every few minutes, keeps the weights of `steps`, and reports.

    What TRL logs of every step is reported, that of steps before a resumption included.
    """
    from transformers import TrainerCallback

    class Callback(TrainerCallback):
        saved = time.monotonic()

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            for log in state.log_history:
                report(log, log["step"])

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            late = time.monotonic() - self.saved > SAVE_SECONDS
            control.should_save = state.global_step in steps or late

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.saved = time.monotonic()
            keep_weights(folder / f"checkpoint-{state.global_step}", folder, steps)

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any
        ) -> None:
            if not all(math.isfinite(logs.get(key, 0.0)) for key in ("loss", "grad_norm")):
                raise UserError(
                    f"grpo: step {state.global_step}: the run has diverged (loss "
                    f"{logs.get('loss')}, gradient norm {logs.get('grad_norm')}); lower "
                    "grpo.learning_rate"
                )
            report(logs, state.global_step)

    return Callback()


def keep_weights(made: Path, folder: Path, steps: Sequence[int]) -> None:
    """Copy the weights of TRL's checkpoint `made`, which the next one replaces, if of `steps`."""
    step = _step_of(made)
    if step in steps:
        weights = next(made / name for name in WEIGHTS if (made / name).is_file())
        copy_tensors(weights, saved_checkpoint(folder, steps.index(step) + 1))


def last_saved(folder: Path) -> Path | None:
    """TRL's newest complete checkpoint: the trainer's state is the last file of one."""
    saved = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json") if _whole(path)]
    return max(saved, key=_step_of, default=None)


def _step_of(made: Path) -> int:
    return int(made.name.removeprefix("checkpoint-"))


def _whole(path: Path) -> bool:
    """Whether a JSON file was written to its end."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def log_rows(trainer: Any, config: GrpoConfig) -> list[dict[str, Any]]:
    """The log's rows, with each step's tokens, seconds and, of a known architecture, operations."""
    shape = Dimensions.of(trainer.model.config)
    weights = None if shape is None else shape.computing_parameters
    rows, seen = [], 0
    for log in trainer.state.log_history:
        if "num_tokens" not in log:
            continue
        tokens, seen = int(log["num_tokens"]) - seen, int(log["num_tokens"])
        generated = round(log["completions/mean_length"] * rollouts_per_step(config))
        rows.append(
            {
                "step": log["step"],
                "reward": log["reward"],
                "reward_std": log["reward_std"],
                "same_reward": log["frac_reward_zero_std"],
                "length": log["completions/mean_length"],
                "truncated": log["completions/clipped_ratio"],
                "entropy": log["entropy"],
                "kl": log.get("kl"),
                "loss": log["loss"],
                "gradient_norm": log["grad_norm"],
                "learning_rate": log["learning_rate"],
                "generated_tokens": generated,
                "trained_tokens": tokens,
                "seconds": log["step_time"],
                # Of sampling a step's tokens and of training on them.
                "flops": None
                if weights is None
                else flops.forward(weights, tokens)
                + flops.training(weights, tokens, config.rank is None),
            }
        )
    return rows
