"""Where the files lie that an arm is made of, and what was recorded in one."""

import functools
import sys
from pathlib import Path

from snakemake.io import local

from ..analysis.arms import main_of
from ..config import Config, ModelConfig
from ..errors import UserError
from ..generation.prompts import PROJECT
from ..method.kinds import KINDS
from .protocol import prompt_of, prompt_of_arm, sources_of
from .shards import evaluation_shards

MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


def source_files(config: Config, split: str) -> list[str]:
    """Local files that a split is read from."""
    return [local(source.path) for source in sources_of(config, split) if source.path is not None]


def prompt_files(config: Config, split: str, arm: str | None = None) -> list[str]:
    prompt = prompt_of_arm(config, arm, split) if arm else prompt_of(config, split)
    if prompt.template == "chat":
        return []
    here = Path(prompt.template)
    found = here if here.is_file() else PROJECT / here  # as prompts.template_text finds it
    return [local(str(found))]


def model_files(path: str, model: ModelConfig) -> list[str]:
    """Files of a model folder that jobs depend on; none for a model of the hub."""
    if model.gguf is not None and path == model.path:
        return [local(f"{path}/{name}") for name in MODEL_FILES]
    folder = Path(path)
    if not folder.is_dir():
        return []
    names = {*MODEL_FILES, *(file.name for file in folder.glob("*.safetensors*"))}
    return [local(f"{path}/{name}") for name in sorted(names) if (folder / name).exists()]


def model_of(config: Config, arm: str) -> ModelConfig:
    """The model that an arm's completions come from, its adapter aside.

    A public checkpoint runs in the type and the length of the base that it is compared with,
    unless its own are given.
    """
    if config.is_whole(arm):
        own = {"path": arm_folder(config, arm), "revision": None, "gguf": None}
        return config.model.model_copy(update=own)
    other = config.arms[arm].model
    if other is None:
        return config.model
    shared = {"dtype", "max_length"} - other.model_fields_set
    return other.model_copy(update=config.model.model_dump(include=shared))


def arm_folder(config: Config, arm: str) -> str:
    """Where an arm that is made here lies: an adapter, or a whole model."""
    return f"results/{config.run}/adapters/{arm}"


def arm_weights(config: Config, arm: str) -> list[str]:
    """The files that make such an arm; none for the base and for public checkpoints."""
    if not KINDS[config.arms[arm].kind].sections:
        return []
    names = ("model.safetensors", "config.json")
    if not config.is_whole(arm):
        names = ("adapter_model.safetensors", "adapter_config.json")
    return [f"{arm_folder(config, arm)}/{name}" for name in names]


def teacher_rollouts(config: Config, arm: str) -> str:
    """The rollouts of its teacher that a distilled arm learns from."""
    section = config.section_of(arm, "distillation")
    problems = min(section.problems, sum(source.limit or 0 for source in config.problems.train))
    teacher = config.arms[arm].teacher
    return f"results/{config.run}/distillation/{teacher}/p{problems}.s{section.samples}.parquet"


def training_log(config: Config, run: str, arm: str) -> str:
    """The log of the arm's training, a table of its kind's name for it."""
    log = KINDS[config.arms[arm].kind].log
    return f"{run}/training/{arm}/{'log' if log == 'training' else log}.parquet"


def main_arm(config: Config) -> list[str]:
    """The trained arm that the run is about, if there is one."""
    changed = config.changed
    main = main_of({n: {"kind": a.kind, "changed": changed[n]} for n, a in config.arms.items()})
    return [] if main is None else [main]


def evaluation_tables(config: Config, run: str, arm: str) -> dict[str, list[str]]:
    """An arm's evaluation, benchmark by benchmark."""
    return {
        benchmark: [
            f"{run}/evaluation/{arm}/{benchmark}/{shard}.parquet"
            for shard in evaluation_shards(config, benchmark)
        ]
        for benchmark in config.benchmarks_of(arm)
    }


def side_by_side_file(config: Config, run: str) -> str | None:
    """Completions of base and main arm as both models see them; None without a trained arm."""
    return f"{run}/side_by_side.parquet" if main_arm(config) else None


def side_by_side_tables(config: Config, run: str) -> list[str]:
    """The evaluation of the arms that are read side by side."""
    tables = [evaluation_tables(config, run, arm) for arm in (config.base_arm, *main_arm(config))]
    return [path for of_arm in tables for paths in of_arm.values() for path in paths]


def recorded_code(table: str, now: str) -> str:
    """The code hash that made a table, or `now` where there is no readable table."""
    from ..tables import recorded

    if not Path(table).exists():
        return now
    try:
        found = str(recorded(table).get("code", now))
    except UserError:  # or it could not be made again either
        return now
    if found != now:
        _say_kept("/".join(Path(table).parts[:3]))  # results/<run>/<stage>
    return found


@functools.cache
def _say_kept(folder: str) -> None:
    """Once a stage, not once a table: a large run has thousands."""
    print(
        f"freeze: {folder} stays as it is, though the code behind it has changed", file=sys.stderr
    )
