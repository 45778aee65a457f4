"""The command `aelle recipes`."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path | None, typer.Argument(help="A new folder to copy the recipes into.", show_default=False)]


def recipes(folder: Folder = None) -> None:
    """Show where the recipes lie, or copy them: Prefect work pools, Ray clusters, systemd units.

    Examples:

    `prefect --no-prompt deploy --all --prefect-file $(aelle recipes)/prefect.yaml`

    `aelle recipes cluster`
    """
    from aelle_core.foundation.errors import UserError

    with as_file(files("flows") / "recipes") as held:
        if folder is None:
            typer.echo(held.resolve())
            return
        if folder.exists():
            raise UserError(f"{str(folder)!r} is there already: expected the name of a new folder")
        shutil.copytree(held.resolve(), folder)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            typer.echo(path)
