"""The run as files: which arm needs which file, and what each job's share of the work is.

Light, since the Snakefile calls it while the graph is built: no torch, no tables.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .arms import main_of
from .config import (
    BenchmarkConfig,
    Config,
    ModelConfig,
    PromptConfig,
    SamplingConfig,
    Source,
    TrainingConfig,
)
from .errors import UserError

# The jobs of every stage, by rule and in order; the rule of a stage's own name gathers their files.
JOBS = {
    "problems": ("load_problems", "clean_pool", "audit_problems", "check_model"),
    "rollouts": ("sample_rollouts",),
    "verdicts": ("judge_rollouts",),
    "entropies": ("score_rollouts",),
    "selection": ("select_positions",),
    "training": ("train_adapter", "train_grpo"),
    "adapter": ("choose_checkpoint", "choose_model"),
    "distillation": ("sample_teacher", "distil_teacher"),
    "evaluation": ("evaluate_arm", "judge_arm"),
    "reading": ("read_pairs",),
    "footprint": ("write_greedy_text", "measure_footprint"),
    "interventions": ("decode_interventions", "judge_interventions"),
    "pivotality": ("sample_continuations", "judge_continuations"),
    "capability": ("sample_capability", "judge_capability"),
    "contamination": ("check_contamination",),
    "metrics": ("compute_metrics",),
    "report": ("render_report", "publish_report"),
}
# What an arm without overlays shares with all others of its kind lies under this name.
SHARED = "main"
VALIDATION = "validation"
# The paper's protocol: eight samples where a benchmark is small, else one.
PAPER = {"temperature": 0.6, "top_p": 0.95}
PAPER_AVERAGED = ("aime24", "amc23")
PAPER_SAMPLES = 8
# Completions of a benchmark that the default is after, and most samples a problem for it.
COMPLETIONS, MOST_SAMPLES = 500, 16
MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


def check(config: Config) -> None:
    """What can be seen wrong before anything runs. Raises `UserError`."""
    if VALIDATION in config.benchmarks:
        raise UserError("config: benchmarks.validation: the name is taken by problems.validation")
    for place, prompt in _prompts(config):
        if prompt.template != "chat" and not Path(prompt.template).is_file():
            raise UserError(
                f"config: {place}.template: {prompt.template}: no such file; templates of the "
                f"project lie in config/prompts/"
            )
    for place, source in _sources(config):
        if source.path is not None and not Path(source.path).is_file():
            raise UserError(f"config: {place}.path: {source.path}: no such file")
    for source in config.problems.train:
        if source.limit is None:
            raise UserError(
                "config: problems.train: limit: give the number of problems: shards of rollouts "
                "are planned before the data is read"
            )


def _prompts(config: Config) -> Iterable[tuple[str, PromptConfig]]:
    yield "prompt", config.prompt
    for name, benchmark in config.benchmarks.items():
        if benchmark.prompt is not None:
            yield f"benchmarks.{name}.prompt", benchmark.prompt
    for name, arm in config.arms.items():
        if arm.prompt is not None:
            yield f"arms.{name}.prompt", arm.prompt


def _sources(config: Config) -> Iterable[tuple[str, Any]]:
    for index, source in enumerate(config.problems.train):
        yield f"problems.train[{index}]", source
    for index, source in enumerate(config.problems.validation):
        yield f"problems.validation[{index}]", source
    for name, benchmark in config.benchmarks.items():
        yield f"benchmarks.{name}.source", benchmark.source


# --- problems ---------------------------------------------------------------------------------


def sources_of(config: Config, split: str) -> list[Any]:
    """The sources of `train`, `validation` or a benchmark."""
    if split in config.benchmarks:
        return [config.benchmarks[split].source]
    return list(getattr(config.problems, split))


def sources_json(config: Config, split: str) -> str:
    """The sources of a split or a pool, as the stage `problems` takes them."""
    sources = sources_of(config, split.removesuffix("-pool"))
    return json.dumps([source.model_dump(mode="json", by_alias=True) for source in sources])


@functools.cache
def _registered(name: str) -> Any:
    """An entry of data/sources.yaml, read once: a large graph asks for it thousands of times."""
    from .sources import entry_of

    return entry_of(name)


def register_entries(config: Config, split: str) -> str:
    """What data/sources.yaml says of the sources that a split names, so that an edit counts."""
    named = [s.register_ for s in sources_of(config, split.removesuffix("-pool")) if s.register_]
    return json.dumps({name: _registered(name).model_dump(mode="json") for name in named})


def source_files(config: Config, split: str) -> list[str]:
    """Local files that a split is read from."""
    return [source.path for source in sources_of(config, split) if source.path is not None]


# --- rollouts and what is derived from them ---------------------------------------------------


@dataclass(frozen=True)
class Shard:
    """A block of problems x a block of samples; the last block of either may be smaller."""

    first_problem: int
    problems: int
    first_sample: int
    samples: int

    @property
    def name(self) -> str:
        return (
            f"p{self.first_problem}-{self.first_problem + self.problems - 1}"
            f".s{self.first_sample}-{self.first_sample + self.samples - 1}"
        )

    @classmethod
    def parse(cls, name: str) -> Shard:
        (first_p, last_p), (first_s, last_s) = (
            map(int, part[1:].split("-")) for part in name.split(".")
        )
        return cls(first_p, last_p - first_p + 1, first_s, last_s - first_s + 1)


def blocks(total: int, size: int) -> list[tuple[int, int]]:
    """(start, length) of consecutive blocks of at most `size`."""
    return [(start, min(size, total - start)) for start in range(0, total, size)]


def rollout_shards(config: Config, arm: str | None = None) -> list[str]:
    """Names of the shards that hold an arm's rollouts (None: those of the run's own section)."""
    rollouts = section_of(config, arm, "rollouts")
    problems = sum(source.limit or 0 for source in config.problems.train)
    return [
        Shard(first_problem, count, first_sample, samples).name
        for first_problem, count in blocks(problems, rollouts.problems_per_shard)
        for first_sample, samples in blocks(rollouts.samples, rollouts.samples_per_shard)
    ]


def rollouts_origin(config: Config, arm: str | None) -> str:
    """The folder of the arm's rollouts: shared, unless the arm samples in its own way.

    The number of samples is not part of it: an arm with another K has more or fewer shards of
    the same folder.
    """
    return _origin(config, arm, _sampling_key)


def selection_origin(config: Config, arm: str) -> str:
    """The name of the arm's selection: shared with arms that select the same."""
    return _origin(config, arm, _selection_key)


def _origin(config: Config, arm: str | None, key: Callable[[Config, str | None], Any]) -> str:
    own = key(config, arm)
    if own == key(config, None):
        return SHARED
    return next(name for name in config.trained_arms if key(config, name) == own)


def _sampling_key(config: Config, arm: str | None) -> dict[str, Any]:
    return section_of(config, arm, "rollouts").model_dump(exclude={"samples"})


def _selection_key(config: Config, arm: str | None) -> tuple[Any, Any]:
    return section_of(config, arm, "rollouts"), section_of(config, arm, "selection")


def section_of(config: Config, arm: str | None, name: str) -> Any:
    """A section as an arm has it; for None or `main`, the run's own."""
    if arm is None or arm == SHARED:
        return getattr(config, name)
    return config.section_of(arm, name)


# --- jobs -------------------------------------------------------------------------------------


def generation_job(config: Config, sampling: SamplingConfig, share: Mapping[str, Any]) -> str:
    """What a generation job is told, as one string: its own share only, never the whole."""
    job = sampling.model_dump(include=set(SamplingConfig.model_fields))
    return json.dumps({**job, **share, "engine": config.engine}, sort_keys=True)


def rollouts_job(config: Config, origin: str, shard: str) -> str:
    return generation_job(
        config, section_of(config, origin, "rollouts"), asdict(Shard.parse(shard))
    )


def protocol(config: Config, benchmark: str) -> tuple[SamplingConfig, int]:
    """How a benchmark (or the validation problems) is sampled, and how often a problem."""
    if benchmark == VALIDATION:
        return config.validation, config.validation.samples
    own = config.benchmarks[benchmark]
    values = config.evaluation.model_dump(include=set(SamplingConfig.model_fields))
    for key in ("temperature", "top_p", "max_tokens"):
        if getattr(own, key) is not None:
            values[key] = getattr(own, key)
    if config.evaluation.protocol == "paper":
        averaged = {benchmark, own.source.register_} & {*PAPER_AVERAGED}
        return SamplingConfig(**{**values, **PAPER}), PAPER_SAMPLES if averaged else 1
    samples = own.samples or config.evaluation.samples or samples_by_size(own.source)
    return SamplingConfig(**values), samples


def samples_by_size(source: Source) -> int:
    """Samples a problem, a power of two: the more, the fewer problems the source is known to have.

    30 problems with one sample each say little; 16 of each say more than half as much as 480
    problems would. Where the number of problems is not known before they are read: 1.
    """
    rows = _registered(source.register_).rows if source.register_ else None
    problems = min((n for n in (source.limit, rows) if n is not None), default=COMPLETIONS)
    samples = 1
    while samples < MOST_SAMPLES and samples * problems < COMPLETIONS:
        samples *= 2
    return samples


def evaluation_shards(config: Config, benchmark: str) -> list[str]:
    """Sample blocks of a benchmark's evaluation."""
    samples = protocol(config, benchmark)[1]
    return [
        f"s{first}-{first + count - 1}"
        for first, count in blocks(samples, config.evaluation.samples_per_shard)
    ]


def evaluation_job(config: Config, benchmark: str, shard: str) -> str:
    first, last = map(int, shard[1:].split("-"))
    samples = {"first_sample": first, "samples": last - first + 1}
    return generation_job(config, protocol(config, benchmark)[0], samples)


def validation_job(config: Config) -> str:
    share = {"first_sample": 0, "samples": config.validation.samples}
    return generation_job(config, config.validation, share)


def teacher_rollouts(config: Config, arm: str) -> str:
    """The rollouts of its teacher that a distilled arm learns from."""
    section = config.section_of(arm, "distillation")
    problems = min(section.problems, sum(source.limit or 0 for source in config.problems.train))
    teacher = config.arms[arm].teacher
    return f"results/{config.run}/distillation/{teacher}/p{problems}.s{section.samples}.parquet"


def teacher_job(config: Config, problems: int, samples: int) -> str:
    """A teacher's rollouts: sampled as the base's are."""
    share = {"first_sample": 0, "samples": samples, "first_problem": 0, "problems": problems}
    return generation_job(config, config.rollouts, share)


def prompt_of(config: Config, split: str) -> PromptConfig:
    """The prompt of a benchmark; training and validation problems take the run's own."""
    own: BenchmarkConfig | None = config.benchmarks.get(split)
    return own.prompt if own is not None and own.prompt is not None else config.prompt


def prompt_of_arm(config: Config, arm: str, split: str) -> PromptConfig:
    """The same for all arms, but for one that is shown under its own."""
    return config.arms[arm].prompt or prompt_of(config, split)


def prompts_json(config: Config) -> str:
    """For every split its prompt and how many tokens of completion must fit behind it."""
    trained = [config.section_of(arm, "grpo").max_tokens for arm in config.of_kind("grpo")]
    lengths = {"train": max([config.rollouts.max_tokens, *trained])}
    for split in (VALIDATION, *config.benchmarks):
        lengths[split] = protocol(config, split)[0].max_tokens
    return json.dumps(
        {
            split: {"prompt": prompt_of(config, split).model_dump(), "max_tokens": length}
            for split, length in lengths.items()
        },
        sort_keys=True,
    )


def targets(config: Config) -> list[str]:
    """All modules that some arm puts an adapter on."""
    sections = [config.training]
    for kind, name in (("trained", "training"), ("grpo", "grpo"), ("distilled", "distillation")):
        sections += [config.section_of(arm, name) for arm in config.of_kind(kind)]
    return sorted({target for section in sections for target in section.targets})


def prompt_files(config: Config, split: str, arm: str | None = None) -> list[str]:
    prompt = prompt_of_arm(config, arm, split) if arm else prompt_of(config, split)
    template = prompt.template
    return [] if template == "chat" else [template]


def verdicts_of(config: Config, benchmark: str) -> str:
    """The verifier's section; a benchmark may allow the last number in the text."""
    own = config.benchmarks.get(benchmark)
    update = {"last_number": True} if own is not None and own.last_number else {}
    return config.verdicts.model_copy(update=update).as_json()


def model_of(config: Config, arm: str) -> ModelConfig:
    """The model that an arm's completions come from, its adapter aside."""
    if config.is_whole(arm):
        own = {"path": arm_folder(config, arm), "revision": None, "gguf": None}
        return config.model.model_copy(update=own)
    return config.arms[arm].model or config.model


def arm_folder(config: Config, arm: str) -> str:
    """Where an arm that is made here lies: an adapter, or a whole model."""
    return f"results/{config.run}/adapters/{arm}"


def arm_weights(config: Config, arm: str) -> list[str]:
    """The files that make such an arm; none for the base and for public checkpoints."""
    if arm not in config.of_kind("trained", "grpo", "distilled"):
        return []
    names = ("model.safetensors", "config.json")
    if not config.is_whole(arm):
        names = ("adapter_model.safetensors", "adapter_config.json")
    return [f"{arm_folder(config, arm)}/{name}" for name in names]


def checkpoint_training(config: Config, arm: str) -> TrainingConfig:
    """Adapter and checkpoints of an arm that chooses among some, as the section `training`."""
    if config.arms[arm].kind == "grpo":
        training: TrainingConfig = config.section_of(arm, "grpo").as_training()
        return training
    own: TrainingConfig = config.section_of(arm, "training")
    return own


def model_files(path: str, model: ModelConfig) -> list[str]:
    """Files of a model folder that jobs depend on; none for a model of the hub."""
    if model.gguf is not None and path == model.path:
        return [f"{path}/{name}" for name in MODEL_FILES]
    folder = Path(path)
    if not folder.is_dir():
        return []
    names = {*MODEL_FILES, *(file.name for file in folder.glob("*.safetensors*"))}
    return sorted(f"{path}/{name}" for name in names if (folder / name).exists())


def recorded_code(table: str, now: str) -> str:
    """The code hash that made a table, or `now` where there is no table yet."""
    from .tables import recorded

    if not Path(table).exists():
        return now
    found = str(recorded(table).get("code", now))
    if found != now:
        print(f"keep: {table} stays, though the code behind it has changed", file=sys.stderr)
    return found


def main_arm(config: Config) -> list[str]:
    """The trained arm that the run is about, if there is one."""
    arms = {name: {"kind": arm.kind} for name, arm in config.arms.items()}
    main = main_of(arms)
    return [] if main is None else [main]


def reading_file(config: Config, run: str) -> str | None:
    """Completions of base and main arm as both models see them; None without a trained arm."""
    return f"{run}/reading.parquet" if main_arm(config) else None


def reading_job(config: Config, run: str) -> str:
    """Which arms are read side by side, and where their evaluation lies."""
    arms = [config.base_arm, *main_arm(config)]
    return json.dumps(
        {
            **{"base": arms[0], "main": arms[-1]},
            "evaluation": {arm: evaluation_tables(config, run, arm) for arm in arms},
            "samples": {name: protocol(config, name)[1] for name in config.benchmarks},
        }
    )


def reading_tables(config: Config, run: str) -> list[str]:
    tables = json.loads(reading_job(config, run))["evaluation"].values()
    return [path for of_arm in tables for paths in of_arm.values() for path in paths]


def evaluation_tables(config: Config, run: str, arm: str) -> dict[str, list[str]]:
    """An arm's evaluation, benchmark by benchmark."""
    return {
        benchmark: [
            f"{run}/evaluation/{arm}/{benchmark}/{shard}.parquet"
            for shard in evaluation_shards(config, benchmark)
        ]
        for benchmark in config.benchmarks_of(arm)
    }


def manifest(config: Config, run: str) -> dict[str, Any]:
    """Where the metrics stage finds what, with the titles and settings it reports."""
    shards = rollout_shards(config)
    return {
        "run": config.run,
        "model": {"path": config.model.path, "revision": config.model.revision},
        "arms": {
            name: {
                "title": arm.title,
                "kind": arm.kind,
                "own_prompt": _own_prompt(config, name),
                "teacher": arm.teacher,
                "seed": _seed(config, name),
                "evaluation": evaluation_tables(config, run, name),
                **_made_files(config, run, name),
            }
            for name, arm in config.arms.items()
        },
        "benchmarks": {
            name: {
                "title": benchmark.title,
                "samples": protocol(config, name)[1],
                **protocol(config, name)[0].model_dump(),
                "prompt": prompt_of(config, name).template,
            }
            for name, benchmark in config.benchmarks.items()
        },
        "problems": {
            split: f"{run}/problems/{split}.parquet"
            for split in ("train", VALIDATION, *config.benchmarks)
        },
        **{
            stage: [f"{run}/{stage}/{SHARED}/{shard}.parquet" for shard in shards]
            for stage in ("rollouts", "verdicts", "entropies")
        },
        "reading": reading_file(config, run),
        "contamination": f"{run}/contamination.json" if config.contamination.check else None,
        # For the page to show; without what changes no figure.
        "config": config.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude={"resources", "keep", "report"}
        ),
    }


def _own_prompt(config: Config, arm: str) -> dict[str, Any] | None:
    """An arm's own prompt and the model whose tokenizer it was written for."""
    prompt, model = config.arms[arm].prompt, model_of(config, arm)
    if prompt is None:
        return None
    return {"template": prompt.template, "path": model.path, "revision": model.revision}


# What the metrics stage reads of an arm that is made here, beside its evaluation.
MADE_FILES = (
    *("selection", "selection_summary", "training", "validation", "choice"),
    *("grpo", "distillation"),
)


def _seed(config: Config, arm: str) -> int | None:
    sections = {"trained": "training", "grpo": "grpo", "distilled": "distillation"}
    section = sections.get(config.arms[arm].kind)
    return None if section is None else int(config.section_of(arm, section).seed)


def _made_files(config: Config, run: str, arm: str) -> dict[str, str | None]:
    kind = config.arms[arm].kind
    files: dict[str, str | None] = dict.fromkeys(MADE_FILES)
    if kind == "trained":
        origin = selection_origin(config, arm)
        files["selection"] = f"{run}/selection/{origin}.parquet"
        files["selection_summary"] = f"{run}/selection/{origin}.json"
    if kind in ("trained", "distilled"):
        files["training"] = f"{run}/training/{arm}/log.parquet"
    if kind == "grpo":
        files["grpo"] = f"{run}/training/{arm}/grpo.parquet"
    if kind == "distilled":
        files["distillation"] = f"{run}/adapters/{arm}/distillation.json"
    if kind in ("trained", "grpo"):
        files["validation"] = f"{run}/adapters/{arm}/validation.parquet"
        files["choice"] = f"{run}/adapters/{arm}/choice.json"
    return files


def manifest_files(manifest: dict[str, Any]) -> list[str]:
    """Every file the manifest names."""
    arms = manifest["arms"].values()
    files = [path for arm in arms for shards in arm["evaluation"].values() for path in shards]
    files += [arm[key] for arm in arms for key in MADE_FILES if arm[key] is not None]
    for stage in ("rollouts", "verdicts", "entropies"):
        files += manifest[stage]
    files += [manifest[key] for key in ("reading", "contamination") if manifest[key] is not None]
    return sorted({*files, *manifest["problems"].values()})
