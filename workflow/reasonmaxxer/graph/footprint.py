"""The analysis as files and jobs. Light, since the Snakefile calls it while the graph is built."""

from typing import Any

from ..config import Config, FootprintConfig, SamplingConfig
from ..errors import UserError
from .files import main_arm
from .jobs import generation_job
from .protocol import protocol

HOW = "add a section to the config, such as footprint: {teacher: <arm>, benchmark: <benchmark>}"


def section(config: Config) -> FootprintConfig:
    """The section, its threshold filled in. Raises `UserError` where the config has none."""
    if config.footprint is None:
        raise UserError(f"config: footprint: is null, so this run has no such analysis; {HOW}")
    tau = config.selection.tau if config.footprint.tau is None else config.footprint.tau
    return config.footprint.model_copy(update={"tau": tau})


def capability_arms(config: Config) -> list[str]:
    """Base, teacher and the arm the run is about."""
    return list(dict.fromkeys([config.base_arm, section(config).teacher, *main_arm(config)]))


# --- jobs: each is told its own part of the section only ------------------------------------------


def greedy_job(config: Config) -> str:
    own = section(config)
    sampling = _sampling(config).model_copy(update={"temperature": 0.0, "seed": own.seed})
    return generation_job(config, sampling, {"problems": own.problems})


def decode_job(config: Config) -> str:
    own = section(config)
    counts = [count for count in (own.problems, own.interventions) if count]
    others = {"pivotality": None, "capability": None, "samples": 1, "interventions": None}
    return own.model_copy(update={"problems": min(counts, default=None), **others}).as_json()


def continuations_job(config: Config) -> str:
    own = section(config)
    assert own.pivotality is not None
    keys = {"tau": own.tau, "rollouts": config.rollouts.samples}
    keys |= own.pivotality.model_dump(exclude={"margin"})
    return generation_job(config, config.rollouts, keys)


def capability_job(config: Config) -> str:
    own = section(config).capability
    assert own is not None
    sampling = _sampling(config).model_copy(update={"seed": own.seed})
    share = {"samples": own.samples, "problems": own.problems}
    return generation_job(config, sampling, share)


def max_tokens(config: Config) -> int:
    return _sampling(config).max_tokens


def _sampling(config: Config) -> SamplingConfig:
    return protocol(config, section(config).benchmark)[0]


# --- files ----------------------------------------------------------------------------------------


def manifest(config: Config, run: str) -> dict[str, Any] | None:
    """Where the metrics stage finds the analysis; None where the run has none."""
    if config.footprint is None:
        return None
    own = section(config)
    folder = f"{run}/footprint"
    return {
        **{"teacher": own.teacher, "benchmark": own.benchmark, "tau": own.tau},
        **{"greedy": f"{folder}/greedy.parquet", "sampled": f"{folder}/sampled.parquet"},
        "interventions": f"{folder}/interventions.parquet",
        "pivotality": f"{folder}/pivotality.parquet" if own.pivotality else None,
        "margin": own.pivotality.margin if own.pivotality else None,
        "capability": {
            arm: f"{folder}/capability/{arm}.parquet"
            for arm in (capability_arms(config) if own.capability else [])
        },
        "samples": own.capability.samples if own.capability else None,
    }
