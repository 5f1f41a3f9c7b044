"""The section `model`: the base model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .section import Count, Section


class ModelConfig(Section):
    """A model: a folder on this machine, or an id of the Hugging Face hub."""

    path: str = Field(
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
