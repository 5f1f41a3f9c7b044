"""The section `resources`: what a job asks of the machine, one class a type of job.

Nothing here changes a result: Snakemake does not track it, and an edit reruns nothing.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from .section import Count, Section

BATCH_TOKENS = (
    "Largest number of tokens in a batch. Lower it if the GPU runs out of "
    "memory. On a CPU at most 2048 are taken at once, so that a batch fits the caches."
)


def _check_gpus(gpu: int, used: int, *keys: str) -> None:
    """Raise `ValueError` where jobs ask for other GPUs than the product of `keys` uses."""
    if gpu > used:
        raise ValueError(
            f"gpu: {gpu}, but its jobs use {used}: raise {' or '.join(keys)}, or set gpu to {used}"
        )
    if gpu and used not in (1, gpu):
        raise ValueError(f"gpu: {gpu}, but {' x '.join(keys)} = {used}; make them equal")


class CpuResources(Section):
    """What a job asks for that needs nothing but a CPU."""

    threads: Count = Field(1, description="CPU cores.")
    mem_mb: Count = Field(2000, description="Memory in MB.")
    runtime: Count = Field(20, description="Time limit on a cluster, in minutes.")


class VerdictsResources(CpuResources):
    """What a job of the verifier asks for."""

    threads: Count = Field(2, description="CPU cores; each runs one comparison at a time.")
    mem_mb: Count = Field(3000, description="Memory in MB.")
    runtime: Count = Field(60, description="Time limit on a cluster, in minutes.")


class GenerationResources(CpuResources):
    """What a job that samples completions asks for."""

    mem_mb: Count = Field(4000, description="Memory in MB.")
    runtime: Count = Field(60, description="Time limit on a cluster, in minutes.")
    gpu: NonNegativeInt = Field(0, description="GPUs; 0 samples on the CPU.")
    kv_cache_mb: Count = Field(
        1000, description="On a CPU: memory for the KV cache in MB, part of mem_mb."
    )
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = Field(
        0.9,
        description="On a GPU: fraction of its memory that vLLM takes. Lower it where other "
        "processes share the GPU.",
    )
    tensor_parallel: Count = Field(
        1,
        description="Number of GPUs that share each layer, for models too large for one GPU.",
    )
    pipeline_parallel: Count = Field(
        1, description="Number of groups of GPUs that hold consecutive layers."
    )
    share_engine: bool = Field(
        False,
        description="Evaluate the base and all adapters of it in one job, with one start of the "
        "engine, instead of a job for each. True takes less time on one GPU; false lets arms run "
        "side by side where there are several GPUs or a cluster.",
    )

    @model_validator(mode="after")
    def _uses_its_gpus(self) -> Self:
        used = self.tensor_parallel * self.pipeline_parallel
        _check_gpus(self.gpu, used, "tensor_parallel", "pipeline_parallel")
        return self


class EntropiesResources(CpuResources):
    """What a job of the scorer asks for."""

    mem_mb: Count = Field(4000, description="Memory in MB.")
    runtime: Count = Field(60, description="Time limit on a cluster, in minutes.")
    gpu: Annotated[int, Field(ge=0, le=1)] = Field(
        0, description="GPUs: 0 or 1, since the scorer is one process."
    )
    batch_tokens: Count = Field(16384, description=BATCH_TOKENS)


class TrainingResources(CpuResources):
    """What a job of a trainer asks for."""

    mem_mb: Count = Field(4000, description="Memory in MB.")
    runtime: Count = Field(60, description="Time limit on a cluster, in minutes.")
    gpu: NonNegativeInt = Field(0, description="GPUs; 0 trains on the CPU.")
    batch_tokens: Count = Field(16384, description=BATCH_TOKENS)
    processes: Count = Field(
        1,
        description="Processes of the trainer, started by torchrun; on GPUs one for each GPU. GRPO "
        "and distillation always run as one process on one GPU.",
    )
    report_to: list[Literal["tensorboard", "trackio"]] = Field(
        default_factory=list,
        description="Experiment trackers that training, GRPO and distillation report every step "
        "to, and the choice of a checkpoint its figures: tensorboard, trackio. Their packages are "
        "not part of the environment: pip install tensorboard trackio.",
    )

    @model_validator(mode="after")
    def _uses_its_gpus(self) -> Self:
        _check_gpus(self.gpu, self.processes, "processes")
        return self


class ResourcesConfig(Section):
    """What the jobs of each type ask for."""

    generation: GenerationResources = Field(
        GenerationResources(), description="Jobs that sample: rollouts, checkpoint, evaluation."
    )
    verdicts: VerdictsResources = Field(
        VerdictsResources(), description="Jobs that judge completions."
    )
    entropies: EntropiesResources = Field(
        EntropiesResources(), description="Jobs that score: entropies, footprint, side_by_side."
    )
    training: TrainingResources = Field(
        TrainingResources(), description="Jobs that train: training, grpo, distillation."
    )
    cpu: CpuResources = Field(
        CpuResources(), description="All other jobs: problems, selection, metrics, report."
    )

    @property
    def gpus(self) -> int:
        """Most GPUs that a job asks for."""
        return max(self.generation.gpu, self.entropies.gpu, self.training.gpu)

    def of(self, jobs: str) -> dict[str, Any]:
        """What jobs of a type ask for beside their threads; all say how many GPUs, if none.

        A fraction is a text, since Snakemake rounds the numbers of resources to whole ones.
        """
        asked = getattr(self, jobs).model_dump(exclude={"threads", "share_engine", "report_to"})
        fractions = {key: str(value) for key, value in asked.items() if isinstance(value, float)}
        return {"gpu": 0, **asked, **fractions}
