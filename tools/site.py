"""Hooks of the documentation site: equations become MathML, which browsers draw without a script, notebooks pages."""

import html
import re
from pathlib import Path
from typing import Any

import nbformat
from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

_EQUATION = re.compile(
    r'<span class="arithmatex">\\\((?P<inline>.+?)\\\)</span>'
    r'|<div class="arithmatex">\s*\\\[(?P<display>.+?)\\\]\s*</div>',
    re.DOTALL,
)
_LINK = re.compile(r"\]\((?P<path>(?:[^()\s:]*/)?)(?P<name>[\w-]+)\.ipynb\)")


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add a page for each notebook, beside the notebook itself."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        path = Path(config["docs_dir"]) / notebook.src_uri
        page = Path(notebook.src_uri).with_suffix(".md").as_posix()
        files.append(File.generated(config, page, content=notebook_page(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to notebooks lead to their pages; the link to the file itself on such a page stays."""
    return _LINK.sub(lambda link: f"]({link['path']}{link['name']}.md)", markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Draw the equations of a page."""
    return _EQUATION.sub(_mathml, content)


def _mathml(equation: re.Match[str]) -> str:
    display = equation["display"]
    return convert(html.unescape(display or equation["inline"]).strip(), display="block" if display else "inline")


def notebook_page(path: Path) -> str:
    """Return a notebook as Markdown: its texts, its code, and what the code has shown."""
    notebook = nbformat.read(path, as_version=4)
    parts = [_part(cell) for cell in notebook.cells]
    file = f'<a href="{path.name}" download>Download this notebook</a>'
    return "\n\n".join([*(part for part in parts if part), file]) + "\n"


def _part(cell: nbformat.NotebookNode) -> str:
    if cell.cell_type != "code":
        return cell.source
    shown = [_shown(output) for output in cell.outputs]
    return "\n\n".join([f"```python\n{cell.source}\n```", *(text for text in shown if text)])


def _shown(output: nbformat.NotebookNode) -> str:
    """Return an output by the richest form that a page can show."""
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    held = output.get("data", {})
    if "image/png" in held:
        return f'<img alt="output" src="data:image/png;base64,{held["image/png"].strip()}">'
    if "text/html" in held:
        return f'<div class="output">{" ".join(held["text/html"].split())}</div>'
    return f"```text\n{held['text/plain'].rstrip()}\n```" if "text/plain" in held else ""
