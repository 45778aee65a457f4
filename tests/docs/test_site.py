"""The documentation site: its reference is whole, its equations are drawn, and its pages can be read."""

import re
from pathlib import Path

import pytest

import aelle_core
from aelle_core.cells import cells
from aelle_core.evaluation.free_runs.base import measures
from aelle_core.systems import systems
from aelle_core.tasks import tasks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NEEDS = "needs the extra 'docs'"


def test_every_public_name_has_its_place_in_the_reference() -> None:
    paths = {
        path for page in (DOCS / "reference").glob("*.md") for path in re.findall(r"^::: (\S+)", page.read_text(), re.M)
    }
    for path in paths:  # what a page names is there
        module, _, name = path.rpartition(".")
        assert hasattr(__import__(module, fromlist=[name]), name), path
    names = {path.rpartition(".")[2] for path in paths}
    assert set(aelle_core.__all__) <= names
    for registry in (cells, tasks, systems, measures):
        for entry in registry.values():
            assert f"{entry.__module__}.{entry.__qualname__}" in paths


def test_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "mkdocs.yml").read_text()
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    pages |= {page.relative_to(DOCS).with_suffix(".md").as_posix() for page in DOCS.rglob("*.ipynb")}
    assert [page for page in sorted(pages) if page not in contents] == []


def test_equations_become_mathml() -> None:
    pytest.importorskip("latex2mathml", reason=NEEDS)
    pytest.importorskip("mkdocs", reason=NEEDS)
    from tools.site import on_page_content

    page = (
        '<p>of <span class="arithmatex">\\(a &lt; b\\)</span>:</p><div class="arithmatex">\\[\n\\frac{1}{T}\n\\]</div>'
    )
    drawn = on_page_content(page)
    assert "arithmatex" not in drawn
    assert drawn.count("<math") == 2
    assert "<mo>&#x0003C;</mo>" in drawn
    assert "<mfrac>" in drawn and 'display="block"' in drawn


def test_notebooks_become_pages_that_links_lead_to() -> None:
    pytest.importorskip("latex2mathml", reason=NEEDS)
    pytest.importorskip("mkdocs", reason=NEEDS)
    from tools.site import notebook_page, on_page_markdown

    page = notebook_page(DOCS / "notebooks/your-own-network.ipynb")
    assert page.startswith("# ")
    assert "```python\nimport matplotlib.pyplot as plt" in page
    assert 'src="data:image/png;base64,' in page
    assert page.rstrip().endswith('<a href="your-own-network.ipynb" download>Download this notebook</a>')
    assert on_page_markdown("[one](notebooks/a.ipynb), [two](b.ipynb)") == "[one](notebooks/a.md), [two](b.md)"


def test_tables_of_docstrings_become_lists_and_examples_code() -> None:
    pytest.importorskip("griffe", reason=NEEDS)
    from tools.docstrings import fenced, listed

    table = "Return it.\n\nfirst   a number\n        of steps\nk, n    more\n\n    h' = f  g\n\nA sentence.  Another."
    assert listed(table) == (
        "Return it.\n\n- `first`: a number of steps\n- `k, n`: more\n\n    h' = f  g\n\nA sentence.  Another."
    )
    example = "Example:\n    >>> f(1)\n    2\n    >>> f(2)\n\nThe end."
    assert fenced(example) == "Example:\n    ```pycon\n    >>> f(1)\n    2\n    >>> f(2)\n    ```\n\nThe end."
