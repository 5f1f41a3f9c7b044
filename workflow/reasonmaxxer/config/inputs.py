"""Sections of what goes in: the model, the prompt, the problems, the benchmarks."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from .lab import LabSource
from .section import Count, Section


class ModelConfig(Section):
    path: str = Field(description="Folder of a model, or its id on the Hugging Face hub.")
    revision: str | None = Field(
        None, description="Commit of the hub repository; pin it, or a changed model goes unseen."
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16", description="Type the weights are run in. Logits are always float32."
    )
    max_length: Count = Field(
        8192, description="Most tokens of prompt and completion together (the engine's limit)."
    )
    gguf: str | None = Field(
        None,
        description="A GGUF file that `path` is converted from when it does not exist yet: a "
        "file's path, or `package:file` for one that an installed Python package carries.",
    )


class PromptConfig(Section):
    template: str = Field(
        "chat",
        description="File with `{problem}` in it (see config/prompts/), or `chat` for the "
        "model's own chat template with one user turn.",
    )
    instruction: str = Field(
        "", description="With `chat`: text behind the problem in the user's turn."
    )
    stop: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="Strings that end a completion, such as `Human:`; trimmed from the ids.",
    )


class HubSource(Section):
    dataset: str = Field(description="Id of a dataset on the Hugging Face hub.")
    revision: str = Field(description="Commit of the dataset; required, since datasets change.")
    name: str | None = Field(None, description="The dataset's configuration.")
    split: str = Field("test", description="The dataset's split.")
    files: str | None = Field(
        None, description="One file of the repository to read, where it declares no splits."
    )


def _none_for_all(limit: Any) -> Any:
    return None if limit == "all" else limit


class Source(Section):
    """Where problems come from: one of `lab`, `hub`, `path`, `register`.

    `path` beside `register` reads the file in place of the download.
    """

    lab: LabSource | None = Field(None, description="The lab's problem generator.")
    hub: HubSource | None = Field(None, description="A dataset of the Hugging Face hub.")
    path: str | None = Field(
        None, description="A .jsonl, .csv or .parquet file; the first two also as .gz."
    )
    delimiter: Literal[",", ";", "\t"] | None = Field(
        None, description="What separates the columns of a .csv file; null: what its header has."
    )
    register_: str | None = Field(
        None, alias="register", description="A name from data/sources.yaml."
    )
    problem: str | None = Field(
        None, description="Column of the problem's text; null: the register's, or `problem`."
    )
    answer: str | None = Field(
        None, description="Column of the reference answer; null: the register's, or `answer`."
    )
    id: str | None = Field(
        None,
        description="Column of the id; null: the register's, or `id` if there is one, or the "
        "row's number.",
    )
    level: str | None = Field(
        None, description="Column of the difficulty; null: the register's, or `level`, if any."
    )
    extract: Literal["plain", "boxed", "hashes", "first"] | None = Field(
        None,
        description="How the reference is found in its column: as it stands (plain), in the last "
        "\\boxed{}, behind ####, or as the first of a list; null: the register's, or plain.",
    )
    where: dict[str, str | bool | int] | None = Field(
        None, description="Keep the rows whose columns have these values; null: the register's."
    )
    limit: Annotated[
        Count | None,
        BeforeValidator(_none_for_all, json_schema_input_type=Count | Literal["all"] | None),
    ] = Field(None, description="Take this many problems; `all` or null takes all.")
    shuffle: int | None = Field(
        None, description="Seed of a shuffle before `limit`; null takes them in order."
    )
    skip: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Leave out so many problems before `limit`: with the same `shuffle`, two "
        "sources of one file share none.",
    )
    levels: list[str | int] | None = Field(
        None, min_length=1, description="Keep these levels, balanced by `limit`."
    )

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), populate_by_name=True
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [k for k in ("lab", "hub", "path", "register_") if getattr(self, k) is not None]
        if len(given) != 1 and given != ["path", "register_"]:
            names = ", ".join(given).replace("register_", "register") or "none"
            raise ValueError(f"give exactly one of lab, hub, path, register; given: {names}")
        if self.skip and (self.levels is not None or self.lab is not None):
            raise ValueError("skip goes with files and datasets, and without levels")
        return self


class ProblemsConfig(Section):
    train: list[Source] = Field(
        min_length=1, description="The training pool; several sources are joined."
    )
    validation: list[Source] = Field(
        min_length=1, description="Problems that the checkpoint is chosen on."
    )
    overlap: Literal["fail", "drop"] = Field(
        "fail",
        description="What to do with a training or validation problem whose normalised text "
        "stands in a benchmark (or a training problem that stands in validation).",
    )


class BenchmarkConfig(Section):
    source: Source = Field(description="Where its problems come from.")
    title: str | None = Field(None, description="Its name in the report.")
    samples: Count | None = Field(
        None, description="Completions for each problem; null takes evaluation.samples."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Null takes evaluation.temperature."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Null takes evaluation.top_p."
    )
    max_tokens: Count | None = Field(None, description="Null takes evaluation.max_tokens.")
    prompt: PromptConfig | None = Field(None, description="Null takes the run's prompt.")
    last_number: bool = Field(
        False, description="Accept the last number in the text where no answer is marked."
    )
