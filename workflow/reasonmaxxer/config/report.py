"""The section `report`: the page."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat

from .section import Section


class ReportConfig(Section):
    """The report page. An edit here redraws the page and nothing else."""

    title: str = Field("ReasonMaxxer", description="Heading of the page.")
    rollouts_shown: Annotated[int, Field(ge=1, le=200)] = Field(
        10,
        description="Number of rollouts that can be read in the page, with their decisions "
        "marked. More make the page larger.",
    )
    price_per_hour: NonNegativeFloat | None = Field(
        None,
        description="Price of a processor core in dollars per hour, or of a GPU where the run uses "
        "GPUs, to show costs in dollars. Default: costs are shown in time alone.",
    )
    reference: str | None = Field(
        None,
        description="Name of a base model of the paper (see data/published.yaml) whose published "
        "figures are shown beside this run's.",
    )
