"""Programs in short pages run and print what the pages say; the runner of pages can fail."""

from pathlib import Path

import pytest

from tools.pages import blocks_of, pictures_of, run_page

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_pages_run(page: str, tmp_path: Path) -> None:
    assert blocks_of(ROOT / page)
    run_page(ROOT / page, tmp_path)


def written(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text(text)
    return page


def test_blocks_share_their_names_and_print_what_stands_behind_them(tmp_path: Path) -> None:
    page = written(
        tmp_path,
        "```python\na = 2\n```\n\n```python\nprint(a, 3.14159)\n```\n\n```text\n2 3.1...\n```\n\n"
        "```sh\necho here > file; cat file\n```\n```text\nhere\n```\n"
        "<!-- not run: it needs a cluster -->\n```python\nfail()\n```\n",
    )
    assert [(block.kind, block.prints) for block in blocks_of(page)] == [
        ("python", None), ("python", "2 3.1...\n"), ("sh", "here\n"),
    ]  # fmt: skip
    assert run_page(page, tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```python\nprint(1)\n```\n```text\n2\n```\n", r"page\.md:1 prints\n1"),
        ("text\n\n```python\n1 / 0\n```\n", r"page\.md:3 fails: ZeroDivisionError"),
        ("```sh\nfalse\n```\n", r"page\.md:1 ends with 1"),
        ("```python\nx = 1\n```\n![a picture](x.png)\n", r"page\.md shows x\.png: expected its code to make it"),
    ],
)
def test_a_page_that_is_wrong_fails(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        run_page(written(tmp_path, text), tmp_path)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_pictures_that_pages_show_are_there(page: Path) -> None:
    for name in pictures_of(page):
        assert (page.parent / name).is_file(), "expected `python -m tools.pages` to have made it"
