"""Tutorials, the gallery and how-to pages: their programs run, print what the pages say, and make the pictures."""

from pathlib import Path

import pytest
from matplotlib.image import imread

from tools.pages import run_page

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted((ROOT / "docs/tutorials").glob("*.md")),
    *(page for page in sorted((ROOT / "docs/gallery").glob("*.md")) if page.stem != "index"),
    ROOT / "docs/guide/other-tools.md",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_the_page_runs(page: Path, tmp_path: Path) -> None:
    pictures = run_page(page, tmp_path)
    assert pictures or page.parent.name == "guide"
    for picture in pictures:
        shown = imread(page.parent / picture.name)
        assert imread(picture).shape == shown.shape  # the picture in the repository was made by this code
