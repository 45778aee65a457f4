"""Every example in a docstring of aelle_core runs and shows what it says."""

import doctest
import importlib
import io
from pathlib import Path

import pytest

import aelle_core

_ROOT = Path(aelle_core.__file__).parent
_WITH_EXAMPLES = sorted(
    ".".join(("aelle_core", *path.relative_to(_ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in _ROOT.rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("name", _WITH_EXAMPLES)
def test_examples_in_docstrings_show_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # an example may write files
    module = importlib.import_module(name)
    said = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for example in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(example, out=said.write)
    assert runner.tries > 0, f"{name}: no example was found where '>>> ' is written"
    assert runner.failures == 0, said.getvalue()


def test_every_public_name_is_described() -> None:
    undescribed = [name for name in aelle_core.__all__ if not (getattr(aelle_core, name).__doc__ or "").strip()]
    assert not undescribed
