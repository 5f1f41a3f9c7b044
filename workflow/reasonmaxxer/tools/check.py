"""Everything that can be seen wrong before a run costs anything, all of it at once."""

import argparse
import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .. import config
from ..config import Config, ModelConfig, PromptConfig
from ..datasets.overlap import without_doubles, without_overlap
from ..errors import UserError
from ..generation.chat_template import not_closed
from ..generation.prompts import load_tokenizer
from ..graph import machine
from ..graph.checks import check, unpinned
from ..graph.estimate import estimate
from ..graph.jobs import models, serves_adapters
from ..graph.protocol import sources_of
from ..modeling.dimensions import Dimensions
from ..stages.convert import locate
from ..stages.preflight import look
from ..stages.problems import check_references, load_problems

HELP = "check a config, its model, its problems and this machine, without running anything"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--configfile",
        nargs="+",
        default=["config/config.yaml"],
        help="config files, each laid over the one before; config/config.yaml by default",
    )
    parser.add_argument(
        "--elsewhere",
        action="store_true",
        help="do not check this machine: the run goes to another one",
    )


def main(args: argparse.Namespace) -> None:
    report(config.load(args.configfile), args.elsewhere)


def report(run: Config, elsewhere: bool = False) -> None:
    """Print what each check found, but for this machine if the run is to be `elsewhere`.

    Raises `UserError` with all that is wrong.
    """
    check(run)
    found: list[str] = []
    for what, finding in Checks(run, elsewhere).all():
        try:
            print(f"{what}: {finding()}")
        except UserError as error:
            found.append(str(error))
            print(f"{what}: WRONG")
    if found:
        raise UserError(f"{len(found)} found:\n" + "\n".join(found))
    print("nothing wrong found")


class Checks:
    """What is looked at; later checks need what earlier ones read."""

    def __init__(self, run: Config, elsewhere: bool) -> None:
        self.run, self.elsewhere = run, elsewhere
        self.problems: dict[str, list[dict[str, Any]]] = {}  # by split, as far as readable
        self.base: Any = None  # the base model's own settings, if readable

    def all(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """In order: a name, and a function that says what it found or raises `UserError`."""
        for split in ("train", "validation", *self.run.benchmarks):
            yield f"problems of {split}", functools.partial(self._problems, split)
        yield "overlap", self._overlap
        yield "revisions", lambda: "\nwarning: ".join(unpinned(self.run)) or "all are commits"
        for asked in models(self.run):
            yield asked["place"], functools.partial(self._model, asked)
        if not self.elsewhere:
            yield "machine", self._machine
        yield "estimate", self._estimate

    def _problems(self, split: str) -> str:
        loaded = load_problems(sources_of(self.run, split), split)
        kept, bad = check_references(loaded, self.run.verdicts)
        self.problems[split] = kept
        left_out = f", {len(bad)} more whose reference does not verify" if bad else ""
        return f"{len(kept)}{left_out}"

    def _overlap(self) -> str:
        run, problems = self.run, self.problems
        benchmarks = {name: problems[name] for name in run.benchmarks if name in problems}
        counts = {}
        others = dict(benchmarks)
        for split in ("validation", "train"):
            if split in problems:
                single, doubles = without_doubles(problems[split])
                others[split], shared = without_overlap(single, split, others, run.problems.overlap)
                counts[split] = doubles + sum(shared.values())
        return ", ".join(f"{count} of {split} are left out" for split, count in counts.items())

    def _model(self, asked: dict[str, Any]) -> str:
        model = ModelConfig.model_validate(asked["model"])
        if model.gguf is not None and not Path(model.path, "config.json").exists():
            return f"will be converted from {locate(model.gguf)}, and checked then"
        texts = {
            split: {row["problem_id"]: row["problem"] for row in rows}
            for split, rows in self.problems.items()
        }
        settings, longest = look(asked, texts, self.base, serves_adapters(self.run))
        self.base = self.base or settings
        tokens = max(longest.values(), default=0)
        seen = f"{model.path}, {settings.model_type}; the longest prompt has {tokens} tokens"
        prompts = [PromptConfig.model_validate(one["prompt"]) for one in asked["prompts"].values()]
        return "\n".join([seen, *_run_on(model, prompts)])

    def _machine(self) -> str:
        import torch

        scarce = machine.check(self.run, self._shape())
        seen = torch.cuda.device_count()
        if self.run.resources.gpus > seen:
            raise UserError(
                f"PyTorch sees {seen} GPUs, {self.run.resources.gpus} are asked for; is this the "
                "CPU environment? For GPUs: make env LOCK=envs/cuda.txt"
            )
        free = shutil.disk_usage(".").free / 1e9
        here = f"{seen} GPUs, {machine.memory_mb()} MB of memory, {free:.0f} GB of disk"
        return "; may be too little: ".join([here, *scarce])

    def _shape(self) -> Dimensions | None:
        return Dimensions.of(self.base) if self.base is not None else None

    def _estimate(self) -> str:
        shape = self._shape()
        if not self.run.resources.gpus:
            return "for GPUs only"
        return " ".join(estimate(self.run, shape).lines()) if shape else "not for this model"


def _run_on(model: ModelConfig, prompts: list[PromptConfig]) -> list[str]:
    """A warning if completions of a chat prompt would run on to their limit."""
    chats = [prompt for prompt in prompts if prompt.template == "chat"]
    tokenizer = load_tokenizer(model) if chats else None
    reasons = {not_closed(model, prompt, tokenizer) for prompt in chats} - {None}
    return [
        f"warning: prompt.template: chat: {reason} (a base model?), so completions would run on; "
        "take a file of config/prompts/, or name what closes a turn in prompt.stop"
        for reason in reasons
    ]
