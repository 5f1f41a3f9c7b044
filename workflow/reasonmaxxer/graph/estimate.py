"""What a run will take on GPUs: memory, disk, tokens, hours and dollars, from its model's shape.

Hours are floating-point operations over the throughput stated below, which one H100 reaches on
such work; they are meant to be right within a factor of two, and to warn before money is spent.
Other cards are counted by what their makers state, in proportion.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from ..config import Config, Source
from ..datasets import readers, sources
from ..method.kinds import CHOSEN
from ..modeling.dimensions import Dimensions
from ..training.lr_schedule import rollouts_per_step
from . import footprint
from .files import main_arm
from .jobs import checkpoint_training
from .protocol import VALIDATION, protocol, sources_of
from .shards import Shard, evaluation_shards, rollout_shards, rollouts_origin

GENERATION_FLOPS = 1.0e14  # a second, decoding in large batches: bound by memory traffic
GENERATION_TOKENS = 15_000  # a second at most, however small the model: bound by the processor
TRAINING_FLOPS = 3.0e14  # a second, whole sequences at once
# Decoding with transformers, one token of a batch at a time: bound by the processor that launches
# a layer's kernels, or by the weights that each step reads.
LAYER_SECONDS = 0.9e-3
ENGINE_SECONDS = 90  # a start of vLLM on a GPU: imports, weights, compilation
LOAD_SECONDS = 30  # a start of any other job on a GPU: imports and weights
COMPLETION = 1000  # tokens, where the limit allows as many
PROMPT = 150  # tokens
TEXTS_AT_ONCE = 64  # that interventions decode
INTERVENTIONS = 6
# Models that a step of all of them runs: the base alone, and five times base and teacher.
MODELS_A_STEP = 11
PRICE = 2.49  # dollars an hour of an H100, as the paper counts
UNKNOWN_ROWS = 600  # problems of a source whose size is not known before it is downloaded
SCORED_BYTES = 50  # on disk, of a rollout's token with its entropy and top 5
SAMPLED_BYTES = 12  # of any other token that is kept
TYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Card:
    """A GPU, by its maker's figures."""

    memory_gb: float
    flops: float  # a second, dense, in bfloat16 with sums in float32
    bandwidth: float  # bytes a second


H100 = Card(85.5, 989e12, 3.35e12)
CARDS = {
    "H100": H100,
    "A100": Card(85.9, 312e12, 2.04e12),  # with 80 GB
    "RTX 4090": Card(25.8, 165e12, 1.01e12),
    "L4": Card(24.2, 121e12, 0.30e12),
}


@dataclass(frozen=True)
class Work:
    """What a stage has its GPU do."""

    generated: int = 0  # tokens, by the engine
    passed: int = 0  # tokens through the model, at 2 operations a parameter, in either direction
    decoded: int = 0  # tokens, by transformers in so many ...
    steps: int = 0  # ... steps of a model, of which each makes one token of every text
    engines: int = 0  # starts of vLLM
    loads: int = 0  # starts of other jobs

    def seconds(self, shape: Dimensions, config: Config, card: Card = H100) -> float:
        """On one such card."""
        operations = 2 * shape.parameters
        decoding, computing = card.bandwidth / H100.bandwidth, card.flops / H100.flops
        token = max(operations / GENERATION_FLOPS / decoding, 1 / GENERATION_TOKENS)
        read = weights_gb(config, shape) * 1e9 / card.bandwidth
        return (
            self.generated * token
            + self.passed * operations / TRAINING_FLOPS / computing
            + self.steps * max(LAYER_SECONDS * shape.layers, read)
            + self.engines * ENGINE_SECONDS
            + self.loads * LOAD_SECONDS
        )


@dataclass(frozen=True)
class RunEstimate:
    parameters: int
    generation_gb: float  # memory of all GPUs of the job together
    training_gb: float
    disk_gb: float  # of the run's files
    download_gb: float
    tokens: int  # to generate
    engines: int  # starts of vLLM
    hours: float  # of one H100
    dollars: float
    elsewhere: dict[str, float]  # hours on the other cards that hold it

    def lines(self) -> list[str]:
        """The estimate in words, as it stands in a preset's header."""
        billions, millions = self.parameters / 1e9, self.tokens / 1e6
        others = ", ".join(f"{hours:.1f} {name}" for name, hours in self.elsewhere.items())
        return [
            f"Estimate: {billions:.1f}e9 parameters; GPU memory {self.generation_gb:.0f} GB to"
            f" generate, {self.training_gb:.0f} GB to train;",
            f"{self.disk_gb:.0f} GB of disk and {self.download_gb:.0f} GB of models to download;",
            f"{millions:.1f}e6 tokens to generate at {COMPLETION} a completion,"
            f" {self.engines} starts of the engine;",
            f"about {self.hours:.1f} H100 hours, {self.dollars:.0f} USD"
            + (f" (or hours: {others})." if others else "."),
        ]


def estimate(config: Config, shape: Dimensions) -> RunEstimate:
    """Memory, disk, tokens, hours and dollars of a run of `config` on a model of this shape."""
    work = stages(config).values()
    hours = {
        name: sum(one.seconds(shape, config, card) for one in work) / 3600
        for name, card in CARDS.items()
    }
    price = PRICE if config.report.price_per_hour is None else config.report.price_per_hour
    generating, training = _generation_gb(config, shape), training_gb(config, shape)
    least = max(generating / max(1, config.resources.generation.gpu), training)
    return RunEstimate(
        parameters=shape.parameters,
        generation_gb=generating,
        training_gb=training,
        disk_gb=disk_gb(config, shape),
        download_gb=len(hub_models(config)) * download_gb(shape),
        tokens=sum(one.generated + one.decoded for one in work),
        engines=sum(one.engines for one in work),
        hours=hours["H100"],
        dollars=hours["H100"] * price,
        elsewhere={
            name: hours[name]
            for name, card in CARDS.items()
            if card is not H100 and card.memory_gb >= least
        },
    )


def stages(config: Config) -> dict[str, Work]:
    """The work of every stage that may use a GPU, by its name."""
    shards = _shards(config)
    blocks = [Shard.parse(name) for _, name in shards]
    completions = sum(block.problems * block.samples for block in blocks)
    length, sequence = _length(config.rollouts.max_tokens), _sequence(config)
    trained = sum(config.section_of(arm, "training").sequences for arm in config.trained_arms)
    found = {
        "rollouts": Work(generated=completions * length, engines=len(shards)),
        "entropies": Work(passed=completions * sequence, loads=len(shards)),
        # The frozen base's forward pass, the adapter's, its backward and activations once more.
        "training": Work(passed=4 * trained * sequence, loads=len(config.trained_arms)),
        **{"grpo": _grpo(config), "distillation": _distillation(config)},
        **{"checkpoint": _checkpoint(config), "evaluation": _evaluation(config)},
        "side_by_side": Work(loads=len(main_arm(config))),
    }
    return found | (_analysis(config) if config.footprint else {})


def _grpo(config: Config) -> Work:
    """Sampled by `generate`, a step's rollouts at once, as long as the longest; then trained."""
    sections = [config.section_of(arm, "grpo") for arm in config.of_kind("grpo")]
    rollouts = [(s.steps * rollouts_per_step(s), _length(s.max_tokens)) for s in sections]
    return Work(
        passed=sum(4 * count * (PROMPT + length) for count, length in rollouts),
        decoded=sum(count * length for count, length in rollouts),
        steps=sum(s.steps * s.max_tokens for s in sections),
        loads=len(sections),
    )


def _distillation(config: Config) -> Work:
    """The teacher's rollouts, sampled once for all its students, and three passes of each epoch."""
    sections = {arm: config.section_of(arm, "distillation") for arm in config.of_kind("distilled")}
    sampled = {(config.arms[arm].teacher, s.problems, s.samples) for arm, s in sections.items()}
    generated = sum(problems * samples for _, problems, samples in sampled)
    passed = sum((1 + 3 * s.epochs) * s.problems * s.samples for s in sections.values())
    return Work(
        generated=generated * _length(config.rollouts.max_tokens),
        passed=passed * _sequence(config),
        engines=len(sampled),
        loads=len(sections),
    )


def _checkpoint(config: Config) -> Work:
    """The base and every checkpoint on the validation problems, in one start for each arm."""
    arms = config.of_kind(*CHOSEN)
    sampled = sum(1 + checkpoint_training(config, arm).checkpoints for arm in arms)
    return Work(generated=sampled * _split_tokens(config, VALIDATION), engines=len(arms))


def _evaluation(config: Config) -> Work:
    """Every arm on its benchmarks: in one start, or several arms in one, or block by block."""
    tokens = 0
    starts: set[tuple[str, ...]] = set()
    for arm, own in config.arms.items():
        for split in config.benchmarks_of(arm):
            tokens += _split_tokens(config, split)
            if own.evaluate is not None:
                starts |= {(arm, split, shard) for shard in evaluation_shards(config, split)}
            else:
                starts.add((config.base_arm if config.shares_engine(arm) else arm,))
    return Work(generated=tokens, engines=len(starts))


def _analysis(config: Config) -> dict[str, Work]:
    """The footprint analysis and its parts."""
    own = footprint.section(config)
    there = _rows(config.benchmarks[own.benchmark].source)
    problems = min(own.problems or there, there)
    limit = footprint.max_tokens(config)
    texts = problems * (PROMPT + _length(limit))
    texts += _problems(config.problems.train) * own.samples * _sequence(config)
    decoded = min(own.interventions or problems, problems)
    exchanged = 2 * len(own.edits)  # in both directions, with both models
    found = {
        "footprint": Work(
            generated=problems * _length(limit), passed=2 * texts, engines=1, loads=2
        ),
        "interventions": Work(
            decoded=(INTERVENTIONS + exchanged) * decoded * _length(limit),
            steps=ceil(decoded / TEXTS_AT_ONCE) * (MODELS_A_STEP + 2 * exchanged) * limit,
            loads=1,
        ),
    }
    if own.pivotality:
        one = own.pivotality
        continued = one.positions * one.alternatives * one.continuations
        tokens = continued * _length(config.rollouts.max_tokens)
        found["pivotality"] = Work(generated=tokens, engines=1)
    if own.capability:
        arms = len(footprint.capability_arms(config))
        sampled = arms * min(own.capability.problems, there) * own.capability.samples
        found["capability"] = Work(generated=sampled * _length(limit), engines=arms)
    return found


# --- memory and disk ------------------------------------------------------------------------------


def weights_gb(config: Config, shape: Dimensions) -> float:
    """The weights in the type they are run in."""
    return shape.parameters * TYPE_BYTES[config.model.dtype] / 1e9


def disk_gb(config: Config, shape: Dimensions) -> float:
    """Space of a run's files."""
    work = stages(config)
    states = shape.hidden * TYPE_BYTES[config.model.dtype] * config.entropies.cache_hidden_states
    size = work["entropies"].passed * (SCORED_BYTES + states)
    size += SAMPLED_BYTES * sum(w.generated for name, w in work.items() if name != "rollouts")
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


def _generation_gb(config: Config, shape: Dimensions) -> float:
    """Weights and the cache of 16 sequences of full length, within the share of memory taken."""
    cache = 2 * shape.layers * shape.kv_heads * shape.head_dim * 2 * config.model.max_length
    share = config.resources.generation.gpu_memory_utilization
    return (2 * shape.parameters + 16 * cache + 2e9) / share / 1e9


def training_gb(config: Config, shape: Dimensions, batch_tokens: int | None = None) -> float:
    """Weights, the adapter with its optimiser, activations at every layer, one layer's insides.

    `batch_tokens` stands in the place of the config's.
    """
    batch_tokens = batch_tokens or config.resources.training.batch_tokens
    batch = max(batch_tokens, PROMPT + config.rollouts.max_tokens)
    inside = 8 * shape.hidden + 4 * shape.intermediate
    activations = 2 * batch * (shape.layers * shape.hidden + 2 * inside)
    # In float32 with its gradient and the optimiser's two: the adapter, or all parameters.
    adapter = 16 * shape.adapter(config.training.rank)
    if any(map(config.is_whole, config.arms)):
        adapter = 16 * shape.parameters
    return (2 * shape.parameters + adapter + activations + 4e9) / 1e9


# --- counts ---------------------------------------------------------------------------------------


def _shards(config: Config) -> set[tuple[str, str]]:
    """All shards of rollouts, of which arms may share some."""
    arms = [None, *config.trained_arms]
    return {
        (rollouts_origin(config, a), shard) for a in arms for shard in rollout_shards(config, a)
    }


def _split_tokens(config: Config, split: str) -> int:
    """Tokens that one model generates for a benchmark or the validation problems."""
    sampling, samples = protocol(config, split)
    return _problems(sources_of(config, split)) * samples * _length(sampling.max_tokens)


def _sequence(config: Config) -> int:
    return PROMPT + _length(config.rollouts.max_tokens)


def _length(limit: int) -> int:
    return min(limit, COMPLETION)


def _problems(given: Iterable[Source]) -> int:
    return sum(map(_rows, given))


def _rows(source: Source) -> int:
    """Problems of a source, its filter and levels aside."""
    if source.path:
        rows: int | None = _file_rows(source.path, source.delimiter)
    elif source.register_:
        rows = sources.entry_of(source.register_).most_rows
    else:
        rows = None
    left = None if rows is None else max(0, rows - source.skip)
    known = [count for count in (left, source.limit) if count is not None]
    return min(known, default=UNKNOWN_ROWS)


@functools.cache
def _file_rows(path: str, delimiter: str | None) -> int:
    return len(readers.read_file(path, delimiter))
