"""How fields of a form are shown: under a title in words, and in groups that stay folded until somebody opens them."""

from dataclasses import dataclass
from typing import Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema


@dataclass(frozen=True)
class Folded:
    """Metadata of a model in an annotation: Prefect's interface shows it as two tabs, and the first one is empty.

    A value without fields belongs to the first tab, so that the model must be valid without any.

    as_is    title of the tab that is shown at first
    changed  title of the tab that holds the model's fields
    """

    as_is: str
    changed: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema of either tab."""
        empty = {"title": self.as_is, "type": "object", "properties": {}, "additionalProperties": False}
        return {"anyOf": [empty, {**handler(schema), "title": self.changed}]}


def titled(title: str) -> Any:
    """Return metadata of a parameter: its title. (Prefect gives it the parameter's name.)"""
    return Field(json_schema_extra={"title": title})


def folded_title(title: str) -> Any:
    """Return metadata of a group that is Folded: its title, and that it is folded at first."""
    return Field(json_schema_extra={"title": title, "default": {}})
