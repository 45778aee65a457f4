"""Docstrings of the core: whatever takes or returns a tensor or an array says of which shape."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

Function = ast.FunctionDef | ast.AsyncFunctionDef

ARRAYS = re.compile(r"\b(Tensor|ndarray|NDArray)\b")
BY_NAME = re.compile(r"\b(dict|Mapping)\[str, [^\]]*\]")
"""Parameters and the like: their shapes are the cell's."""
AXIS = r"(?:\.\.\.|[\w']+(?:(?: ?[*+/-] ?| or | of | times )[\w']+)*)"
SHAPE = re.compile(rf"\({AXIS},\)|\({AXIS}(?:,\s+{AXIS})+\)|\b[Ss]calars?\b|\b[Aa]ny\s+shape\b")
"""A parenthesised shape such as (n,) or (batch, time, 2 * units), or the words that stand for one."""


def has_arrays(function: Function) -> bool:
    """Whether an argument or the result is annotated as a tensor or an array."""
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    annotations = [argument.annotation for argument in arguments if argument] + [function.returns]
    return any(ARRAYS.search(BY_NAME.sub("", ast.unparse(annotation))) for annotation in annotations if annotation)


def is_overload(function: Function) -> bool:
    return any("overload" in ast.unparse(decorator) for decorator in function.decorator_list)


def public_functions(body: list[ast.stmt], above: str = "") -> Iterator[tuple[str, Function]]:
    """Yield the functions and methods of a module, with their names."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{above}{node.name}.")
        elif isinstance(node, Function) and not node.name.startswith("_") and not is_overload(node):
            yield f"{above}{node.name}", node


def without_shape(source: str) -> list[str]:
    """Names of public functions with arrays whose docstrings name no shape."""
    return [
        name
        for name, function in public_functions(ast.parse(source).body)
        if has_arrays(function)
        and not ("." in name and ast.get_docstring(function) is None)  # that of its base or protocol holds
        and not SHAPE.search(ast.get_docstring(function) or "")
    ]


def test_functions_with_arrays_name_their_shapes(repository: Path) -> None:
    missing = [
        f"{path.relative_to(repository)}: {name}"
        for path in sorted((repository / "aelle_core").rglob("*.py"))
        for name in without_shape(path.read_text())
    ]
    assert not missing, "no shape such as (batch, time, features) in the docstring of\n" + "\n".join(missing)


@pytest.mark.parametrize(
    ("docstring", "right"),
    [
        ("Return losses (networks,).", True),
        ("Return states (networks, batch, 2 * units), in float64.", True),
        ("Return a scalar to add to a loss.", True),
        ("Round a tensor of any shape.", True),
        ("Return losses.", False),
        ("Return losses (of all networks).", False),
        ("Return losses (mean, in nats per step).", False),
    ],
)
def test_the_rule_knows_a_shape_from_prose(docstring: str, right: bool) -> None:
    source = f"def losses(given: Tensor) -> Tensor:\n    {docstring!r}\n"
    assert without_shape(source) == ([] if right else ["losses"])


def test_the_rule_passes_over_what_is_private_or_without_arrays() -> None:
    source = "def count(name: str) -> int:\n    'Count.'\ndef _step(state: Tensor) -> Tensor:\n    'Step.'\n"
    assert without_shape(source) == []
    assert without_shape("class Cell:\n    def step(self, state: 'Tensor') -> None:\n        'Step.'\n") == [
        "Cell.step"
    ]
