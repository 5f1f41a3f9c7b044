"""What every section of the config shares: its base class, the types of its values, its errors."""

import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)

from ..errors import UserError
from ..method.verifiers import PROJECT


def _found(path: str) -> str:
    """A path that is not found from the working directory is tried from the project's root.

    Not among results, which belong to the folder that a run works in.
    """
    ours = PROJECT / path
    try:
        elsewhere = Path(path).exists() or Path(path).parts[:1] == ("results",)
    except OSError as error:
        raise ValueError(error.strerror) from error
    return path if elsewhere or not ours.exists() else str(ours)


InputPath = Annotated[str, AfterValidator(_found)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+=-]*$", max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # as numpy and TRL take it

# Keys that had another name before 0.2.0.
RENAMED = {
    "contamination": "memorization",
    "gpu_memory_percent": "gpu_memory_utilization",
    "gradient_clip": "max_grad_norm",
    "keep": "freeze",
    "keep_states": "cache_hidden_states",
    "light": "cpu",
    "sequences_per_step": "batch_size",
    "share": "top_fraction",
    "targets": "target_modules",
    "validation": "checkpoint",
    "warmup_share": "warmup_ratio",
    "where": "filter",
}


def one_of(names: Iterable[str]) -> Any:
    """The type of a key whose value is a name of a registry; an unknown one lists what there is."""
    known = list(names)

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"is not one of: {', '.join(map(repr, known))}")
        return value

    return Annotated[str, AfterValidator(check), WithJsonSchema({"enum": known, "type": "string"})]


def check_steps(steps: int, **keys: int) -> None:
    """Raise `ValueError` if the value of a key is more than the steps of its training."""
    for key, value in keys.items():
        if value > steps:
            raise ValueError(f"{key}: {value} is more than the {steps} steps")


class Section(BaseModel):
    """A part of the config. Unknown keys are errors, and so are numbers that are not finite."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        str_max_length=1_000_000,  # any limit makes pydantic refuse half a character (a surrogate)
    )

    def as_json(self) -> str:
        """The section as one string, keys sorted: what a rule has among its params."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote. Raises `UserError` naming the key that is wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise UserError(explain(error, cls, "--config")) from error


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """A pydantic error in words for users, a line a key, with a suggestion for a mistyped one."""
    lines = []
    for item in error.errors():
        location = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            lines.append(f"{where}: {location}: unknown key{_suggestion(model, item['loc'])}")
        elif item["type"] == "missing":
            lines.append(f"{where}: {location}: is required")
        else:
            message = item["msg"].removeprefix("Value error, ")
            if item["type"] == "string_type":  # YAML reads on, 007, 2024-05-01 and a: as no text
                message += "; put it in quotes"
            value = "" if isinstance(item["input"], dict) else f" (given: {item['input']!r:.80})"
            prefix = f"{where}: {location}: " if location else f"{where}: "
            lines.append(f"{prefix}{message}{value}")
    return "\n".join(lines)


def _suggestion(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    """The key's new name, or else the nearest key of the same section."""
    key = str(location[-1])
    section = _section_at(model, location[:-1])
    known = [field.alias or name for name, field in section.model_fields.items()]
    if RENAMED.get(key) in known:
        return f"; it is called '{RENAMED[key]}' now (see CHANGELOG.md)"
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; this section has: {', '.join(known)}"


def _section_at(model: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel]:
    """The section that stands at a place of the config; names and numbers of items are skipped."""
    for part in location:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in fields:
            model = next(_models(fields[part].annotation), model)
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a type is made of, such as the one in `dict[str, X] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
