"""The section `problems`, and the sources that problems are read from."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, NonNegativeInt, model_validator

from .lab import LabSource
from .section import Count, InputPath, Section


class HubSource(Section):
    """A dataset of the Hugging Face hub."""

    dataset: str = Field(description="The dataset's id on the hub, as `owner/name`.")
    revision: str = Field(
        description="Commit of the dataset's repository. Required, since datasets change."
    )
    name: str | None = Field(None, description="The dataset's configuration, where it has several.")
    split: str = Field("test", description="The dataset's split, such as train or test.")
    files: str | None = Field(
        None,
        description="One file of the repository to read, for a repository that declares no splits.",
    )


class Source(Section):
    """Where problems come from: `lab`, `hub`, `path` or `register`.

    Exactly one of the four; only `path` may stand beside `register`, and is then read instead of a
    download.
    """

    lab: LabSource | None = Field(None, description="The problem generator of the lab.")
    hub: HubSource | None = Field(None, description="A dataset of the Hugging Face hub.")
    path: InputPath | None = Field(
        None,
        description="A file on this machine: .jsonl, .csv or .parquet; the first two also as .gz.",
    )
    delimiter: Literal[",", ";", "\t"] | None = Field(
        None,
        description="The character between columns of a .csv file. Default: read off its header.",
    )
    register_: str | None = Field(
        None, alias="register", description="The name of a dataset in data/sources.yaml."
    )
    problem: str | None = Field(
        None,
        description="Column that holds the problem's text. Default: the register's, or `problem`.",
    )
    answer: str | None = Field(
        None,
        description="Column that holds the reference answer. Default: the register's, or `answer`.",
    )
    id: str | None = Field(
        None,
        description="Column that identifies a problem. Default: the register's, or `id` if there "
        "is one, or the row's number.",
    )
    level: str | None = Field(
        None,
        description="Column that holds the difficulty. Default: the register's, or `level` if "
        "there is one.",
    )
    choices: str | None = Field(
        None,
        description="Column that holds the options of a multiple-choice question, a list of texts "
        "or `{label: [...], text: [...]}`. They are put below the problem as `A. ...`, and the "
        "reference, a label, an index from 0 or a text, becomes the letter. Judge them with "
        "`verdicts.verifier: choice`. Default: the register's, or none.",
    )
    extract: Literal["plain", "boxed", "hashes", "first"] | None = Field(
        None,
        description="How the reference answer is found in its column. plain: the whole text; "
        "boxed: inside the last \\boxed{}; hashes: after ####; first: the first item of a list. "
        "Default: the register's, or plain.",
    )
    filter: dict[str, str | bool | int] | None = Field(
        None,
        description="Keeps only rows whose columns have these values, such as `{type: algebra}`. "
        "Default: the register's.",
    )
    limit: Annotated[
        Count | None,
        BeforeValidator(
            lambda limit: None if limit == "all" else limit,
            json_schema_input_type=Count | Literal["all"] | None,
        ),
    ] = Field(
        None,
        description="Number of problems to take, or `all` (the default). Required for training "
        "problems, since the jobs are planned before the data is read.",
    )
    shuffle: int | None = Field(
        None,
        description="Seed of a shuffle before `limit` is applied. Default: no shuffle, the first "
        "problems are taken.",
    )
    skip: NonNegativeInt = Field(
        0,
        description="Number of problems to leave out before `limit` is applied: with the same "
        "`shuffle`, two sources can so share a file and no problem.",
    )
    levels: list[str | int] | None = Field(
        None,
        min_length=1,
        description="Keeps only problems of these levels, about the same number of each.",
    )

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [k for k in ("lab", "hub", "path", "register_") if getattr(self, k) is not None]
        if len(given) != 1 and given != ["path", "register_"]:
            names = ", ".join(given).replace("register_", "register") or "none"
            raise ValueError(f"give exactly one of lab, hub, path, register; given: {names}")
        if self.skip and (self.levels is not None or self.lab is not None):
            raise ValueError(
                "skip is only allowed for files and datasets, and not together with levels"
            )
        return self


class ProblemsConfig(Section):
    """The problems that the method trains on, and those that choose a checkpoint."""

    train: list[Source] = Field(
        min_length=1,
        description="The training pool. Several sources are joined; each needs a `limit`.",
    )
    validation: list[Source] = Field(
        min_length=1,
        description="Problems on which the best checkpoint is chosen. About 50 are enough; never "
        "take a benchmark.",
    )
    overlap: Literal["fail", "drop"] = Field(
        "fail",
        description="What to do with a training or validation problem that is also in a benchmark "
        "(or a training problem that is also in validation), compared by normalised text. fail: "
        "stop with an error; drop: leave it out.",
    )
