"""The section `verdicts`: how answers are compared with their references."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .section import Count, Section


class VerdictsConfig(Section):
    """The verifier: limits on what it may take, and what counts as an answer."""

    timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        2.0, description="CPU seconds that one comparison may take."
    )
    retry_seconds: Annotated[float, Field(gt=0)] = Field(
        10.0,
        description="CPU seconds of the single retry after a timeout, during which nothing else "
        "is compared.",
    )
    max_chars: Count = Field(
        100_000,
        description="Characters of a completion that are searched for an answer; a longer one "
        "counts as unparseable.",
    )
    memory_mb: Annotated[int, Field(ge=256)] = Field(
        1024, description="MB of memory that a comparison may take."
    )
    last_number: bool = Field(
        False,
        description="Whether the last number in the text counts as the answer where no answer is "
        "marked. Set it for models that do not mark their answers; it also accepts accidents.",
    )
    bad_references: Literal["drop", "fail"] = Field(
        "drop",
        description="What to do with a problem whose reference answer does not verify against "
        "itself. drop: leave the problem out; fail: stop with an error.",
    )
