"""What every command takes: `--plugin`."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup


def _use(names: list[str]) -> list[str]:
    """Name the plug-ins before the command looks anything up. They are loaded when it does."""
    from aelle_core.foundation.plugins import use

    use(names)
    return names


_Plugins = Annotated[
    list[str],
    typer.Option(
        "--plugin",
        metavar="MODULE",
        callback=_use,
        is_eager=True,
        expose_value=False,
        show_default=False,
        help="A module, or a script's path, that registers cells, tasks, classifiers, presets ...; repeatable, and "
        "comes after those of AELLE_PLUGINS.",
    ),
]


def _plugin_option() -> Any:
    """Return the option as typer makes it for a command."""
    carrier = typer.Typer(add_completion=False)

    @carrier.command()
    def command(plugin: _Plugins = []) -> None:  # noqa: B006 - typer's way to say: none
        """Carry the option."""

    return next(option for option in typer.main.get_command(carrier).params if "--plugin" in option.opts)


class Commands(TyperGroup):
    """Commands that all take plug-ins, so that none of them has to say so."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None and all("--plugin" not in option.opts for option in command.params):
            command.params.append(_plugin_option())
        return command
