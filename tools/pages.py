"""Run the programs that stand in pages of the documentation, and renew their pictures.

    python -m tools.pages docs/gallery docs/tutorials        # runs every page, keeps the pictures that it shows

The blocks of a page run in order, as a reader types them: `python` blocks share their names, `sh` blocks are commands
of a shell; all run in one empty directory. A `text` block behind a block is what that prints; `...` in it stands for
anything. A comment `<!-- not run: why -->` before a block says why it is not. A picture that the page shows and that
stands in the directory afterwards was made by the page; it belongs beside the page.
"""

import argparse
import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?P<skip><!-- not run: [^\n]+ -->\n+)?```(?P<kind>python|sh|text)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)/:]+\.(?:png|svg))\)")
_AS_PRINTED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A block that runs: its kind, its code, the line in the page where it begins, and what it should print."""

    kind: str
    code: str
    line: int
    prints: str | None


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page that run."""
    text = page.read_text()
    blocks: list[Block] = []
    runs = False
    for match in _FENCE.finditer(text):
        if match["kind"] == "text":
            if runs and blocks[-1].prints is None:
                blocks[-1] = Block(blocks[-1].kind, blocks[-1].code, blocks[-1].line, match["code"])
            continue
        runs = match["skip"] is None
        if runs:
            line = text.count("\n", 0, match.start("code"))
            blocks.append(Block(match["kind"], match["code"], line, None))
    return blocks


def pictures_of(page: Path) -> list[str]:
    """Return the names of the pictures beside a page that it shows."""
    return list(dict.fromkeys(_PICTURE.findall(page.read_text())))


def run_page(page: Path, directory: Path) -> list[Path]:
    """Run a page's blocks in a directory, and return the pictures that they made of those that the page shows.

    Raises AssertionError, naming page and line, where a block fails or prints something else than the page says, and
    where a picture that stands beside the page was not made.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    before = Path.cwd()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "MPLBACKEND": "agg"}
    os.environ["MPLBACKEND"] = "agg"
    os.chdir(directory)
    try:
        for block in blocks_of(page):
            where = f"{page}:{block.line}"
            if block.kind == "python":
                printed = _run_python(block, names, where)
            else:
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", block.code], env=environment, capture_output=True, text=True
                )
                assert done.returncode == 0, f"{where} ends with {done.returncode}:\n{done.stdout}{done.stderr}"
                printed = done.stdout
            wanted = block.prints
            if wanted is not None:
                same = doctest.OutputChecker().check_output(wanted, printed, _AS_PRINTED)
                assert same, f"{where} prints\n{printed}\nexpected\n{wanted}"
    finally:
        os.chdir(before)
    missing = [name for name in pictures_of(page) if not (directory / name).is_file()]
    assert not missing, f"{page} shows {missing[0]}: expected its code to make it"
    return [directory / name for name in pictures_of(page)]


def _run_python(block: Block, names: dict[str, object], where: str) -> str:
    printed = io.StringIO()
    code = compile("\n" * block.line + block.code, where, "exec")
    with contextlib.redirect_stdout(printed):
        try:
            exec(code, names)
        except Exception as error:
            raise AssertionError(f"{where} fails: {type(error).__name__}: {error}") from error
    return printed.getvalue()


def main() -> None:
    """Run pages, or all pages of directories, and copy their pictures beside them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("pages", nargs="+", type=Path, help="pages, or directories of pages")
    for given in parser.parse_args().pages:
        for page in sorted(given.glob("*.md")) if given.is_dir() else [given]:
            with tempfile.TemporaryDirectory() as directory:
                for picture in run_page(page.resolve(), Path(directory)):
                    shutil.copyfile(picture, page.parent / picture.name)
                    print(page.parent / picture.name)


if __name__ == "__main__":
    main()
