"""The section `evaluation`, and the benchmarks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ..method.verifiers import checked
from .problems import Source
from .prompt import PromptConfig
from .sampling import SamplingConfig
from .section import Count, Section, Seed


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
        description="Samples of each problem per job. Raising `samples` by whole shards keeps "
        "what was sampled.",
    )


class BenchmarkConfig(Section):
    """A benchmark: its problems, and where its evaluation differs from the section evaluation."""

    source: Source = Field(description="Where its problems come from.")
    title: str | None = Field(None, description="Its name in the report. Default: its key.")
    samples: Count | None = Field(
        None, description="Samples per problem. Default: that of the section evaluation."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Temperature of sampling. Default: that of the section evaluation."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
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
    verifier: str | None = Field(
        None,
        description="What judges its answers: a verifier as in the section verdicts. Default: that "
        "of the section verdicts.",
    )
    last_number: bool = Field(
        False,
        description="Whether the last number in the text counts as the answer where no answer is "
        "marked.",
    )

    @field_validator("verifier")
    @classmethod
    def _known(cls, verifier: str | None) -> str | None:
        return verifier and checked(verifier)
