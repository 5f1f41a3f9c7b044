"""What every section of the config shares: its base class, the types of its values, its errors."""

from __future__ import annotations

import difflib
import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import UserError

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+=-]*$", max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # as numpy and TRL take it


class Section(BaseModel):
    """A part of the config. Unknown keys are errors, and so are numbers that are not finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
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
    """A pydantic error in a user's words: a line a key, with a suggestion for a mistyped one."""
    lines = []
    for item in error.errors():
        location = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            lines.append(f"{where}: {location}: unknown key{_suggestion(model, item['loc'])}")
        elif item["type"] == "missing":
            lines.append(f"{where}: {location}: is required")
        else:
            message = item["msg"].removeprefix("Value error, ")
            value = "" if isinstance(item["input"], dict) else f" (given: {item['input']!r})"
            prefix = f"{where}: {location}: " if location else f"{where}: "
            lines.append(f"{prefix}{message}{value}")
    return "\n".join(lines)


def _suggestion(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    known = set(_keys(model))
    near = difflib.get_close_matches(str(location[-1]), sorted(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else "; see config/README.md for the keys"


def _keys(model: type[BaseModel]) -> list[str]:
    schema = json.dumps(model.model_json_schema())
    found: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if isinstance(content.get("properties"), dict):
            found.extend(content["properties"])
        return content

    json.loads(schema, object_pairs_hook=collect)
    return found
