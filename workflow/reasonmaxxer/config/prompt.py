"""The section `prompt`: how a problem is put to the model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import Section


class PromptConfig(Section):
    """How a problem is put to the model."""

    template: str = Field(
        "chat",
        description="A text file that contains `{problem}` (see config/prompts/), or `chat` for "
        "the model's own chat template with the problem as one user turn. Base models usually "
        "need a file.",
    )
    instruction: str = Field(
        "",
        description="With template `chat`: text added after the problem in the user's turn, such "
        "as how to mark the answer.",
    )
    stop: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="Texts that end a completion, such as `Human:`. They are cut off the "
        "completion. Needed where a base model goes on to invent further problems.",
    )
