"""Docstrings as the reference shows them: their tables as lists, and their examples as code.

Markdown would run the lines of a table together, and take `>>>` for a quotation.
"""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?P=indent)\S.*)*", re.MULTILINE)
_ENTRY = re.compile(r"(?P<names>[A-Za-z_]\w*(?:, [A-Za-z_]\w*)*) {2,}(?P<text>[^\s=].*)")


class Readable(griffe.Extension):
    """Changes the docstring of every object that is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(listed(obj.docstring.value))


def fenced(text: str) -> str:
    """Return a docstring with each of its examples, `>>>` to the next empty line, in a fence of Python's console."""

    def fence(example: re.Match[str]) -> str:
        indent = example["indent"]
        return f"{indent}```pycon\n{example[0]}\n{indent}```"

    return _EXAMPLE.sub(fence, text)


def listed(text: str) -> str:
    """Return a docstring in which each table is a list. A table is a paragraph whose lines are a name, two spaces or
    more, and a text that goes on in indented lines."""
    return "\n\n".join(_as_list(paragraph) or paragraph for paragraph in text.split("\n\n"))


def _as_list(paragraph: str) -> str | None:
    entries: list[str] = []
    for line in paragraph.strip("\n").splitlines():
        if entry := _ENTRY.fullmatch(line):
            entries.append(f"- `{entry['names']}`: {entry['text']}")
        elif entries and line.startswith("  "):
            entries[-1] += f" {line.strip()}"
        else:
            return None
    return "\n".join(entries) or None
