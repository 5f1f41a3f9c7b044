"""The section `verdicts`: how answers are compared with their references."""

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from ..method.verifiers import checked, checksum
from .section import Count, Section

Verifier = Annotated[str, AfterValidator(checked)]
SecondOpinion = Literal["none", "slow", "all"]


class VerdictsConfig(Section):
    """The verifier: limits on what it may take, and what counts as an answer."""

    timeout_seconds: PositiveFloat = Field(
        2.0, description="CPU seconds that one comparison may take."
    )
    retry_seconds: PositiveFloat = Field(
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
    verifier: Verifier = Field(
        "math",
        description="What judges an answer. math: mathematics; choice: a letter; exact: a text; "
        "numeric: a number; math-verify: the library of that name alone; or a function of your own "
        "as `python:path/to/my.py:function`, also in the form of TRL's reward functions.",
    )
    verifier_sha256: str | None = Field(
        None,
        description="Filled in by itself: the checksum of the file of your own verifier, so that "
        "an edit of the file judges again.",
    )
    bad_references: Literal["drop", "fail"] = Field(
        "drop",
        description="What to do with a problem whose reference answer does not verify against "
        "itself. drop: leave the problem out; fail: stop with an error.",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_its_content(cls, raw: Any) -> Any:
        """The content of a user's own verifier is part of the section."""
        verifier = raw.get("verifier") if isinstance(raw, Mapping) else None
        if not isinstance(verifier, str) or not verifier.startswith("python:"):
            return raw
        with contextlib.suppress(ValueError):  # the field's own check says what is wrong
            return {**raw, "verifier_sha256": checksum(verifier)}
        return raw


class JudgingConfig(VerdictsConfig):
    """What one job of judging is given: the verifier, and whether there is a second opinion."""

    second_opinion: SecondOpinion = "none"
