"""What the metrics stage reads, and where: arm by arm, benchmark by benchmark."""

from __future__ import annotations

from typing import Any

from ..config import Config
from ..footprint import plan as footprint
from .files import evaluation_tables, model_of, reading_file
from .sampling import VALIDATION, prompt_of, protocol
from .shards import SHARED, rollout_shards, selection_origin

# What the metrics stage reads of an arm that is made here, beside its evaluation.
MADE_FILES = (
    *("selection", "selection_summary", "training", "validation", "choice"),
    *("grpo", "distillation"),
)


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
        "footprint": footprint.manifest(config, run),
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
    files += footprint.manifest_files(manifest["footprint"])
    return sorted({*files, *manifest["problems"].values()})
