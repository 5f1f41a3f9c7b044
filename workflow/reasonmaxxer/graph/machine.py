"""What a config asks of the machine, against what this machine has. Light: no torch.

An estimate is meant to be right within a factor of two (see `estimate.py`): what falls short of
half of it cannot work and is an error, what falls short of it a warning.
"""

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import UserError
from ..modeling.dimensions import Dimensions
from ..training.tracking import not_installed
from . import gpus
from .estimate import disk_gb, download_gb, estimate, hub_models, training_gb, weights_gb

WRONG_BY = 2
SMALLEST_BATCH = 1024  # tokens
BFLOAT16_FROM = 8.0  # compute capability (Ampere), below which vLLM refuses the type
# Limit of a container or a batch job on the memory of all its processes (control groups, v2).
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
UNFILLED = "CHANGE_ME"  # in a profile, for a site's own values


def check(config: Config, shape: Dimensions | None) -> list[str]:
    """What may fall short, in words; `shape` is the model's, None where it is not known.

    Raises `UserError` with a line for each thing that this machine does not have.
    """
    missing = not_installed(config.resources.training.report_to)
    missing += [*_gpus(config), *_engine(config), *_types(config), *_memory(config)]
    scarce: list[str] = []
    if shape is not None:
        missing += _weights(config, shape)
        for what, has, wants, remedy in _estimates(config, shape):
            line = f"{what}: {has:,.1f} GB here, about {wants:,.1f} GB are needed; {remedy}"
            if has < wants:
                (missing if has < wants / WRONG_BY else scarce).append(line)
    if missing:
        raise UserError("\n".join(missing))
    return scarce


def memory_mb() -> int:
    """Memory of the machine in MB, or of the container where that is less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.exists() else "max"
    return (physical if limit == "max" else min(physical, int(limit))) // 10**6


def _gpus(config: Config) -> Iterator[str]:
    here = len(set(gpus.slots()))
    for jobs, _ in config.resources:
        asked = config.resources.of(jobs)["gpu"]
        if asked > here:
            yield (
                f"resources.{jobs}.gpu: {asked} GPUs are asked for, but this machine has "
                f"{here} ({gpus.VISIBLE}, or what nvidia-smi lists); set it to 0 to run on the "
                "CPU, or run on a cluster: --workflow-profile profiles/slurm"
            )


def _engine(config: Config) -> Iterator[str]:
    """vLLM's wheel for GPUs runs on nothing else; the one for CPUs is another package."""
    try:
        for_gpus = "cpu" not in version("vllm")
    except PackageNotFoundError:
        return
    if for_gpus and config.engine == "vllm" and not config.resources.generation.gpu:
        yield (
            "resources.generation.gpu: 0, but the vLLM of this environment runs on a GPU only; set "
            "it to 1, or make the environment for CPUs: make env LOCK=envs/cpu.txt"
        )


def _types(config: Config) -> Iterator[str]:
    oldest = min(gpus.capabilities(), default=BFLOAT16_FROM) if config.resources.gpus else None
    if oldest is None or oldest >= BFLOAT16_FROM:
        return
    for place, model in config.models.items():
        # A checkpoint arm runs in the run's type, unless its own is given.
        own = place == "model" or "dtype" in model.model_fields_set
        if own and model.dtype == "bfloat16":
            yield (
                f"{place}.dtype: bfloat16 needs a GPU of compute capability {BFLOAT16_FROM} "
                f"(Ampere) or newer, one here has {oldest}; set it to float32"
            )


def _memory(config: Config) -> Iterator[str]:
    here = memory_mb()
    for stage, resources in config.resources:
        if resources.mem_mb > here:
            yield (
                f"resources.{stage}.mem_mb: {resources.mem_mb} MB, but this machine has {here} MB; "
                "lower it if the stage needs less, or take a larger machine"
            )


def _weights(config: Config, shape: Dimensions) -> Iterator[str]:
    """The weights alone must fit: on a CPU into what a job may use, else into its GPUs."""
    least = weights_gb(config, shape)
    smallest = min(gpus.memory_gb(), default=least)
    for stage in ("generation", "entropies", "training"):
        resources = getattr(config.resources, stage)
        alone = f"the weights of {config.model.path} alone take"
        if not resources.gpu and resources.mem_mb < 1000 * least:
            yield (
                f"resources.{stage}.mem_mb: {resources.mem_mb} MB, but {alone} "
                f"{1000 * least:.0f} MB; raise it"
            )
        # An engine shares them out among its GPUs; any other process holds a whole model.
        shared = resources.gpu if stage == "generation" else 1
        if resources.gpu and smallest * shared < least:
            remedy = "raise gpu and tensor_parallel, or " if stage == "generation" else ""
            yield (
                f"resources.{stage}.gpu: {smallest * shared:.0f} GB of GPU memory here, but "
                f"{alone} {least:.0f} GB; {remedy}take larger GPUs or a smaller model"
            )


def _estimates(config: Config, shape: Dimensions) -> Iterator[tuple[str, float, float, str]]:
    """(what, GB that are here, GB that the estimate says, remedy)"""
    yield from _disks(config, shape)
    found = estimate(config, shape)
    smallest = min(gpus.memory_gb(), default=None)
    if smallest is None:
        return
    if count := config.resources.generation.gpu:
        what = "resources.generation: GPU memory"
        yield what, smallest * count, found.generation_gb, "take more or larger GPUs"
    if config.resources.training.gpu:
        # The trainer's processes hold a whole model each.
        what = "resources.training: GPU memory"
        yield what, smallest, found.training_gb, _smaller_batches(config, shape, smallest)


def _smaller_batches(config: Config, shape: Dimensions, here: float) -> str:
    """The batch size with which training fits into `here` GB, if one does."""
    batch = config.resources.training.batch_tokens
    while batch > SMALLEST_BATCH and training_gb(config, shape, batch) > here:
        batch = 2 ** ((batch - 1).bit_length() - 1)  # the next power of two
    if training_gb(config, shape, batch) > here:
        return "take larger GPUs"
    return f"set resources.training.batch_tokens: {batch}, or take larger GPUs"


def _disks(config: Config, shape: Dimensions) -> Iterator[tuple[str, float, float, str]]:
    """The same of the disk of the run and of that of the hub's cache, which may be one."""
    here, wants = Path(), disk_gb(config, shape)
    remedy = "free some, or set entropies.cache_hidden_states: false, or fewer rollouts.samples"
    if models := hub_models(config):
        from huggingface_hub.constants import HF_HUB_CACHE

        cache = Path(HF_HUB_CACHE)
        missing = sum(max(0, download_gb(shape) - _cached_gb(cache, path)) for path in models)
        disk = next(folder for folder in (cache, *cache.parents) if folder.exists())
        if disk.stat().st_dev == here.stat().st_dev:
            wants += missing
        else:
            free = shutil.disk_usage(disk).free / 1e9
            yield f"disk of {cache}", free, missing, "free some, or set HF_HOME to a larger one"
    yield "disk", shutil.disk_usage(here).free / 1e9, wants, remedy


def _cached_gb(cache: Path, model: str) -> float:
    """What is there already of a model of the hub."""
    blobs = cache / f"models--{model.replace('/', '--')}" / "blobs"
    return sum(file.stat().st_size for file in blobs.glob("*")) / 1e9


def check_site(workflow: Any) -> None:
    """Raise `UserError` without the cluster asked for: the executor would wait and say nothing."""
    plugin = workflow.executor_plugin
    if plugin is None or workflow.local_exec:
        return
    if plugin.name == "slurm" and shutil.which("sbatch") is None:
        raise UserError(
            "profile: the executor slurm needs sbatch, which is not on the PATH; start the run on "
            "a login node of the cluster, or without --workflow-profile"
        )
    settings = [workflow.executor_settings, workflow.storage_settings]
    settings += [workflow.remote_execution_settings]
    settings += [dict(job.resources.items()) for job in workflow.dag.needrun_jobs()]
    if any(UNFILLED in str(one) for one in settings):
        raise UserError(
            f"profile: it still has {UNFILLED} in it: copy the profile and fill in your site's "
            "values (profiles/README.md), or drop the lines that it has no use for"
        )
