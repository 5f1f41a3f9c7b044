"""The sections `rollouts`, `checkpoint`, `evaluation`, `benchmarks` and `memorization`."""

from typing import Annotated, Literal

from pydantic import Field

from .model import PromptConfig
from .problems import Source
from .section import Count, Section, Seed, Share
from .verdicts import SecondOpinion, Verifier

Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]


class SamplingConfig(Section):
    """How completions are sampled."""

    temperature: Temperature = Field(
        0.6, description="Temperature of sampling; 0 always takes the likeliest token."
    )
    top_p: TopP = Field(
        0.95, description="Nucleus sampling: tokens beyond this much probability are cut off."
    )
    max_tokens: Count = Field(
        4096,
        description="Largest number of tokens of a completion. A completion that reaches it is "
        "cut off and usually wrong: raise it where many are.",
    )
    seed: Seed = Field(42, description="Seed of sampling.")


class RolloutsConfig(SamplingConfig):
    """Sampling from the frozen base (the paper: K = 20, temperature 0.6, top-p 0.95)."""

    samples: Annotated[int, Field(ge=2)] = Field(
        20,
        description="K, the number of completions per problem. Raising it keeps what was sampled.",
    )
    problems_per_shard: Count = Field(
        500,
        description="Problems per job. Each job starts an engine: lower it only to use several "
        "GPUs at once.",
    )
    samples_per_shard: Count = Field(
        20, description="Samples of each problem per job. Like problems_per_shard."
    )


class CheckpointConfig(SamplingConfig):
    """The checkpoint with the best pass@1 on the validation problems becomes the arm."""

    samples: Count = Field(
        4,
        description="Completions per validation problem and checkpoint. More tell close "
        "checkpoints apart and cost as much more.",
    )
    seed: Seed = Field(43, description="Seed of sampling.")
    min_parseable: Share = Field(
        0.5,
        description="A checkpoint has collapsed, and is not chosen, if its share of parseable "
        "answers falls below this fraction of the base's. If every checkpoint has collapsed: the "
        "main arm stops with an error; any other arm keeps its best one.",
    )


class EvaluationConfig(SamplingConfig):
    """How every arm is evaluated on every benchmark. A benchmark may differ, an arm may not."""

    protocol: Literal["paper"] | None = Field(
        None,
        description="paper: the paper's protocol, that is temperature 0.6, top-p 0.95, one sample "
        "per problem and eight on AIME24 and AMC23; samples, temperature and top_p may then not "
        "be set here or in a benchmark.",
    )
    samples: Count | None = Field(
        None,
        description="Samples per problem. Default: between 1 and 16, so that a benchmark gets "
        "about 500 samples in all.",
    )
    seed: Seed = Field(44, description="Seed of sampling.")
    samples_per_shard: Count = Field(
        64,
        description="Samples of each problem per file. Raising `samples` keeps what was sampled.",
    )
    second_opinion: SecondOpinion = Field(
        "slow",
        description="Which evaluated samples the library math-verify judges as well, to show that "
        "a gain is not the verifier's. slow: those that took more than a quick comparison; all; "
        "none. It never changes a reward.",
    )


class BenchmarkConfig(Section):
    """A benchmark: its problems, and where its evaluation differs from the section evaluation."""

    source: Source = Field(description="Where its problems come from.")
    title: str | None = Field(None, description="Its name in the report. Default: its key.")
    samples: Count | None = Field(
        None, description="Samples per problem. Default: that of the section evaluation."
    )
    temperature: Temperature | None = Field(
        None, description="Temperature of sampling. Default: that of the section evaluation."
    )
    top_p: TopP | None = Field(
        None, description="Nucleus of sampling. Default: that of the section evaluation."
    )
    max_tokens: Count | None = Field(
        None,
        description="Largest number of tokens of a completion. Default: that of the section "
        "evaluation.",
    )
    prompt: PromptConfig | None = Field(
        None, description="How its problems are put to the model. Default: the run's prompt."
    )
    verifier: Verifier | None = Field(
        None,
        description="What judges its answers: a verifier as in the section verdicts. Default: that "
        "of the section verdicts.",
    )
    last_number: bool = Field(
        False,
        description="Whether the last number in the text counts as the answer where no answer is "
        "marked.",
    )


class MemorizationConfig(Section):
    """Measures how many problems of each benchmark the base completes word for word."""

    check: bool = Field(
        False,
        description="Whether the run measures it and the report shows it. Costs one engine start.",
    )
    tail: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.4,
        description="Fraction of a problem's tokens that the base has to complete from the rest.",
    )
