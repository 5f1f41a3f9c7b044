"""What a run will take on GPUs: memory, tokens, hours and dollars, from the model's shape alone.

Hours are floating-point operations over the throughput stated below, which one H100 reaches on
such work; they are meant to be right within a factor of two, and to warn before money is spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config, Source
from ..datasets import sources
from ..method.kinds import CHOSEN
from ..modeling.dimensions import Dimensions
from ..training.lr_schedule import rollouts_per_step
from .jobs import checkpoint_training
from .protocol import protocol
from .shards import rollout_shards

GENERATION_FLOPS = 1.0e14  # a second, decoding in large batches: bound by memory traffic
GENERATION_TOKENS = 15_000  # a second at most, however small the model
TRAINING_FLOPS = 3.0e14  # a second, whole sequences at once
START_SECONDS = 90  # of a job on a GPU: imports, weights, compilation
COMPLETION = 1000  # tokens, where the limit allows as many
PROMPT = 150  # tokens
PRICE = 2.49  # dollars an hour of an H100, as the paper counts
UNKNOWN_ROWS = 600  # problems of a source whose size the register does not say
SCORED_BYTES = 50  # on disk, of a rollout's token with its entropy and top 5
SAMPLED_BYTES = 12  # of any other token that is kept
TYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class RunEstimate:
    parameters: int
    generation_gb: float  # memory of all GPUs of the job together
    training_gb: float
    tokens: int  # to generate
    hours: float  # of one GPU
    dollars: float

    def lines(self) -> list[str]:
        """The estimate in words, as it stands in a preset's header."""
        billions, millions = self.parameters / 1e9, self.tokens / 1e6
        return [
            f"Estimate: {billions:.1f}e9 parameters; GPU memory {self.generation_gb:.0f} GB to"
            f" generate, {self.training_gb:.0f} GB to train;",
            f"{millions:.1f}e6 tokens to generate at {COMPLETION} a completion; about"
            f" {self.hours:.1f} H100 hours, {self.dollars:.0f} USD.",
        ]


def estimate(config: Config, shape: Dimensions) -> RunEstimate:
    """Memory, tokens, hours and dollars of a whole run of `config` on a model of this shape."""
    rollouts, arms = _rollouts(config), len(config.of_kind(*CHOSEN))
    tokens = rollouts * _length(config.rollouts.max_tokens) + _checked_tokens(config)
    sequence = PROMPT + _length(config.rollouts.max_tokens)
    trained = len(config.trained_arms) * config.training.sequences * sequence
    for section in _grpo_sections(config):
        sampled = section.steps * rollouts_per_step(section)
        tokens += sampled * _length(section.max_tokens)
        trained += sampled * (PROMPT + _length(section.max_tokens))
    # A token costs 2 operations a parameter forward; training adds the frozen base's own forward
    # pass, the backward pass through it and one recomputation of the activations.
    scored = rollouts * sequence
    seconds = tokens * max(2 * shape.parameters / GENERATION_FLOPS, 1 / GENERATION_TOKENS)
    seconds += 2 * shape.parameters * (scored + 4 * trained) / TRAINING_FLOPS
    # Rollouts and their scores, training and checkpoint choice, a benchmark of an arm.
    jobs = 2 * len(rollout_shards(config)) + 1 + 2 * arms
    jobs += len(config.arms) * len(config.benchmarks)
    hours = (seconds + jobs * START_SECONDS) / 3600
    price = PRICE if config.report.price_per_hour is None else config.report.price_per_hour
    return RunEstimate(
        parameters=shape.parameters,
        generation_gb=_generation_gb(config, shape),
        training_gb=_training_gb(config, shape),
        tokens=tokens,
        hours=hours,
        dollars=hours * price,
    )


def weights_gb(config: Config, shape: Dimensions) -> float:
    """The weights in the type they are run in."""
    return shape.parameters * TYPE_BYTES[config.model.dtype] / 1e9


def disk_gb(config: Config, shape: Dimensions) -> float:
    """Space of a run's files."""
    scored = _rollouts(config) * (PROMPT + _length(config.rollouts.max_tokens))
    states = shape.hidden * TYPE_BYTES[config.model.dtype] * config.entropies.cache_hidden_states
    size = scored * (SCORED_BYTES + states) + _checked_tokens(config) * SAMPLED_BYTES
    for arm in config.of_kind(*CHOSEN):
        training = checkpoint_training(config, arm)
        weights = shape.parameters if config.is_whole(arm) else shape.adapter(training.rank)
        size += 4 * weights * (training.checkpoints + 1)
    return size / 1e9


def hub_models(config: Config) -> set[str]:
    """Ids of the models that the run fetches from the hub."""
    models = [config.model, *(arm.model for arm in config.arms.values() if arm.model)]
    return {m.path for m in models if m.gguf is None and not Path(m.path).is_dir()}


def download_gb(shape: Dimensions) -> float:
    """A model's weights in the type that the hub has them in, mostly."""
    return 2 * shape.parameters / 1e9


def _grpo_sections(config: Config) -> list[Any]:
    return [config.section_of(arm, "grpo") for arm in config.of_kind("grpo")]


def _rollouts(config: Config) -> int:
    return _problems(config.problems.train) * config.rollouts.samples


def _checked_tokens(config: Config) -> int:
    """Tokens of all completions that checkpoints are chosen by and arms are compared by."""
    checks = _problems(config.problems.validation) * config.checkpoint.samples
    checkpoints = [checkpoint_training(config, arm).checkpoints for arm in config.of_kind(*CHOSEN)]
    checks *= 1 + sum(checkpoints)
    tokens = checks * _length(config.checkpoint.max_tokens)
    for name, benchmark in config.benchmarks.items():
        sampling, samples = protocol(config, name)
        completions = _problems([benchmark.source]) * samples * len(config.arms)
        tokens += completions * _length(sampling.max_tokens)
    return tokens


def _generation_gb(config: Config, shape: Dimensions) -> float:
    """Weights and the cache of 16 sequences of full length, within the share of memory taken."""
    cache = 2 * shape.layers * shape.kv_heads * shape.head_dim * 2 * config.model.max_length
    share = config.resources.generation.gpu_memory_utilization
    return (2 * shape.parameters + 16 * cache + 2e9) / share / 1e9


def _training_gb(config: Config, shape: Dimensions) -> float:
    """Weights, the adapter with its optimiser, activations at every layer, one layer's insides."""
    batch = max(config.resources.training.batch_tokens, PROMPT + config.rollouts.max_tokens)
    inside = 8 * shape.hidden + 4 * shape.intermediate
    activations = 2 * batch * (shape.layers * shape.hidden + 2 * inside)
    # In float32 with its gradient and the optimiser's two: the adapter, or all parameters.
    adapter = 16 * shape.adapter(config.training.rank)
    if any(map(config.is_whole, config.arms)):
        adapter = 16 * shape.parameters
    return (2 * shape.parameters + adapter + activations + 4e9) / 1e9


def _length(limit: int) -> int:
    return min(limit, COMPLETION)


def _problems(given: list[Source]) -> int:
    return sum(source.limit or _rows(source) for source in given)


def _rows(source: Source) -> int:
    if source.register_ and not source.path:
        rows = sources.entry_of(source.register_).rows or UNKNOWN_ROWS
        return rows if isinstance(rows, int) else max(rows)
    return UNKNOWN_ROWS
