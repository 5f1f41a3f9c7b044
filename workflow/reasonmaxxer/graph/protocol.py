"""How the problems of each split are put and sampled."""

import functools
import json
from typing import Any

from ..config import (
    BenchmarkConfig,
    Config,
    JudgingConfig,
    PromptConfig,
    SamplingConfig,
    Source,
    VerdictsConfig,
)

VALIDATION = "validation"
# The paper's protocol: eight samples where a benchmark is small, else one.
PAPER = {"temperature": 0.6, "top_p": 0.95}
PAPER_AVERAGED = ("aime24", "amc23")
PAPER_SAMPLES = 8
# Completions of a benchmark that the default is after, and most samples a problem for it.
COMPLETIONS, MOST_SAMPLES = 500, 16


def protocol(config: Config, benchmark: str) -> tuple[SamplingConfig, int]:
    """How a benchmark (or the validation problems) is sampled, and how often a problem."""
    if benchmark == VALIDATION:
        return config.checkpoint, config.checkpoint.samples
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
    rows = registered(source.register_).most_rows if source.register_ else None
    problems = min((n for n in (source.limit, rows) if n is not None), default=COMPLETIONS)
    samples = 1
    while samples < MOST_SAMPLES and samples * problems < COMPLETIONS:
        samples *= 2
    return samples


@functools.cache
def registered(name: str) -> Any:
    """An entry of data/sources.yaml, read once: a large graph asks for it thousands of times."""
    from ..datasets.sources import entry_of

    return entry_of(name)


def prompt_of(config: Config, split: str) -> PromptConfig:
    """The prompt of a benchmark; training and validation problems take the run's own."""
    own: BenchmarkConfig | None = config.benchmarks.get(split)
    return own.prompt if own is not None and own.prompt is not None else config.prompt


def prompt_of_arm(config: Config, arm: str, split: str) -> PromptConfig:
    """The same for all arms, but for one that is shown under its own."""
    return config.arms[arm].prompt or prompt_of(config, split)


def verdicts_of(config: Config, benchmark: str) -> VerdictsConfig:
    """The verifier's section; a benchmark may allow the last number, or have another verifier."""
    own = config.benchmarks.get(benchmark)
    values = config.verdicts.model_dump(mode="json")
    if own is not None:
        values |= {"last_number": True} if own.last_number else {}
        values |= {"verifier": own.verifier, "verifier_sha256": None} if own.verifier else {}
    return VerdictsConfig(**values)


def judging_of(config: Config, benchmark: str) -> str:
    """How evaluated samples are judged; no second opinion where checkpoints are chosen by them."""
    second = "none" if benchmark == VALIDATION else config.evaluation.second_opinion
    values = verdicts_of(config, benchmark).model_dump(mode="json")
    return JudgingConfig(**values, second_opinion=second).as_json()


def sources_of(config: Config, split: str) -> list[Any]:
    """The sources of `train`, `validation` or a benchmark."""
    if split in config.benchmarks:
        return [config.benchmarks[split].source]
    return list(getattr(config.problems, split))


def sources_json(config: Config, split: str) -> str:
    """The sources of a split or a pool, as the stage `problems` takes them."""
    sources = sources_of(config, split.removesuffix("-pool"))
    return json.dumps([source.model_dump(mode="json", by_alias=True) for source in sources])


def register_entries(config: Config, split: str) -> str:
    """What data/sources.yaml says of the sources that a split names, so that an edit counts."""
    named = [s.register_ for s in sources_of(config, split.removesuffix("-pool")) if s.register_]
    return json.dumps({name: registered(name).model_dump(mode="json") for name in named})
