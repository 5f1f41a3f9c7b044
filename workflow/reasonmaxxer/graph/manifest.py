"""What the metrics stage reads, and where: arm by arm, benchmark by benchmark."""

from collections.abc import Iterator
from typing import Any

from ..config import Config
from ..method.kinds import KINDS
from . import footprint
from .files import evaluation_tables, model_of, side_by_side_file, teacher_rollouts, training_log
from .protocol import VALIDATION, prompt_of, protocol
from .shards import rollout_shards, rollouts_origin, selection_origin, shard_files

# What the metrics stage reads of an arm that is made here, beside its evaluation.
MADE_FILES = (
    *("selection", "selection_summary", "validation", "checkpoint", "distillation"),
    *dict.fromkeys(kind.log for kind in KINDS.values() if kind.log),
)


def manifest(config: Config, run: str) -> dict[str, Any]:
    """Where the metrics stage finds what, with the titles and settings it reports."""
    return {
        "run": config.run,
        "samples": config.rollouts.samples,
        "model": {"path": config.model.path, "revision": config.model.revision},
        "arms": {
            name: {
                "title": arm.title,
                "kind": arm.kind,
                "own_prompt": _own_prompt(config, name),
                "teacher": arm.teacher,
                "changed": config.changed[name],
                "line": config.line_of(name),
                "swept": config.swept(name),
                "seed": _seed(config, name),
                "evaluation": evaluation_tables(config, run, name),
                **_made_files(config, run, name),
                **_learnt_from(config, run, name),
                "jobs": making_jobs(config, name),
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
        **{s: shard_files(config, run, s) for s in ("rollouts", "verdicts", "entropies")},
        "side_by_side": side_by_side_file(config, run),
        "memorization": f"{run}/memorization.json" if config.memorization.check else None,
        "footprint": footprint.manifest(config, run),
        # For the page to show; without what changes no figure.
        "config": config.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude=_no_figure(config)
        ),
    }


def _no_figure(config: Config) -> dict[str, Any]:
    """The keys of the config that change no figure, as pydantic leaves them out."""
    selections = (config.section_of(arm, "selection") for arm in config.trained_arms)
    keys: dict[str, Any] = dict.fromkeys(("resources", "freeze", "report"), True)
    if not any(selection.draws for selection in selections):
        keys["selection"] = {"seed"}
    return keys


def _own_prompt(config: Config, arm: str) -> dict[str, Any] | None:
    """An arm's own prompt and the model whose tokenizer it was written for."""
    prompt, model = config.arms[arm].prompt, model_of(config, arm)
    if prompt is None:
        return None
    return {"template": prompt.template, "path": model.path, "revision": model.revision}


def _seed(config: Config, arm: str) -> int | None:
    """The seed of the section that trains the arm, the last of its kind's."""
    sections = KINDS[config.arms[arm].kind].sections
    return int(config.section_of(arm, sections[-1]).seed) if sections else None


def _made_files(config: Config, run: str, arm: str) -> dict[str, str | None]:
    kind = KINDS[config.arms[arm].kind]
    files: dict[str, str | None] = dict.fromkeys(MADE_FILES)
    if kind.selects:
        origin = selection_origin(config, arm)
        files["selection"] = f"{run}/selection/{origin}.parquet"
        files["selection_summary"] = f"{run}/selection/{origin}.json"
    if kind.log is not None:
        files[kind.log] = training_log(config, run, arm)
    if kind.teacher:
        files["distillation"] = f"{run}/adapters/{arm}/distillation.json"
    if kind.checkpoints:
        files["validation"] = f"{run}/adapters/{arm}/validation.parquet"
        files["checkpoint"] = f"{run}/adapters/{arm}/checkpoint.json"
    return files


def _learnt_from(config: Config, run: str, arm: str) -> dict[str, list[str]]:
    """The rollouts that an arm is trained on, which other arms may share, and their entropies."""
    kind = KINDS[config.arms[arm].kind]
    if kind.teacher:
        return {"rollouts": [teacher_rollouts(config, arm)], "entropies": []}
    stages = ("rollouts", "entropies")
    return {s: shard_files(config, run, s, arm) if kind.selects else [] for s in stages}


def making_jobs(config: Config, arm: str) -> dict[str, list[str]]:
    """The jobs without which an arm does not exist, shared or its own: rule -> their names.

    A job's name is that of its timings. The evaluation on benchmarks is none of them.
    """
    kind, teacher = KINDS[config.arms[arm].kind], config.arms[arm].teacher
    if kind.rule is None:
        return {}
    made: dict[str, list[str]] = {}
    if teacher is not None:
        sample = teacher_rollouts(config, arm).removesuffix(".parquet").split("/")[-2:]
        made |= making_jobs(config, teacher) | {"sample_teacher": [".".join(sample)]}
    if kind.selects:
        origin = rollouts_origin(config, arm)
        pool = [f"{origin}.{shard}" for shard in rollout_shards(config, arm)]
        made |= dict.fromkeys(("sample_rollouts", "judge_rollouts", "score_rollouts"), pool)
        made["select_positions"] = [selection_origin(config, arm)]
    made[kind.rule] = [arm]
    if kind.checkpoints:
        choose = "choose_whole_checkpoint" if config.is_whole(arm) else "choose_checkpoint"
        made[choose] = [arm]
    return made


def manifest_files(manifest: dict[str, Any]) -> list[str]:
    """Every file of the run that the manifest names."""

    def files(value: Any) -> Iterator[str]:
        if isinstance(value, str) and value.startswith("results/"):
            yield value
        elif isinstance(value, dict):
            for key, inner in value.items():
                # These are told for the page, and may name models of any run.
                yield from files(inner) if key not in ("model", "own_prompt", "config") else ()
        elif isinstance(value, list):
            yield from (file for inner in value for file in files(inner))

    return sorted({*files(manifest)})
