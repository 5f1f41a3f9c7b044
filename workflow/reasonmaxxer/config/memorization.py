"""The section `memorization`: how much of the benchmarks the base knows by heart."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import Section


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
