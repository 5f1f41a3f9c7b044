"""The sections `model` and `prompt`: the base model, and how problems are put to it."""

from typing import Annotated, Literal

from pydantic import Field

from .section import Count, InputPath, Section


class ModelConfig(Section):
    """A model: a folder on this machine, or an id of the Hugging Face hub."""

    path: InputPath = Field(
        description="A folder with the model's files, or a model's id on the Hugging Face hub. "
        "Without internet access, give a folder."
    )
    revision: str | None = Field(
        None,
        description="Commit of the hub repository. Give it for every hub model: without it the "
        "newest commit is taken, and a changed model reruns nothing.",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16",
        description="Number type that the weights are loaded in. Logits are float32 in any case. "
        "Take float32 on a CPU for small models, float16 only for models that are not trained.",
    )
    max_length: Count = Field(
        8192,
        description="Largest number of tokens of prompt and completion together. Raise it "
        "together with max_tokens; the engine reserves memory for it.",
    )
    gguf: str | None = Field(
        None,
        description="A GGUF file to convert the model from if the folder `path` does not exist "
        "yet: a path, or `package:file` for a file inside an installed Python package.",
    )


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
