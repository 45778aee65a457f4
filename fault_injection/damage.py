"""What may happen to a study's files while it runs: no room, no permission, altered bytes."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from fault_injection.disk import Disk
from fault_injection.scene import END_SECONDS, PATIENCE_SECONDS, POLL_SECONDS, Scene


def fill_disk(scene: Scene) -> str | None:
    """Leave no room on the disk of the results: the command must end with one sentence; it is started again once there
    is room."""
    return None if scene.disk is None else _fail(scene, scene.disk, scene.disk.fill, "no space left on device")


def forbid_writing(scene: Scene) -> str | None:
    """Make the run directory read-only: the command must end with one sentence, and is started again once it can
    write."""
    if scene.disk is None:
        return None
    return _fail(scene, scene.disk, partial(scene.disk.cover, scene.run), "read-only file system")


def _fail(scene: Scene, disk: Disk, harm: Callable[[], None], cause: str) -> str | None:
    _wait_for(scene, "spectra")
    if scene.ended:
        return None
    harm()
    try:
        code, output = scene.command.wait(END_SECONDS), scene.command.output
    finally:
        disk.cure()
    if code == 0:  # all was written just before
        scene.command = scene.start()
        return None
    if code != 1 or f"cannot be written: {cause}" not in output or "Traceback" in output:
        raise RuntimeError(f"exit code {code} with {cause}: {output.strip()[-300:]}")
    scene.start_again()
    return cause


def alter_fragment(scene: Scene) -> str | None:
    """Change a byte of a stored fragment. Whoever reads it next must name it, and the message's advice must mend it:
    the round follows it at its end."""
    fragments = sorted(scene.run.glob("spectra/study=*/cell=*/epoch=*/*.parquet"))
    if not fragments:
        return None
    path = scene.draw.choice(fragments)
    _change_a_byte(scene, path)
    scene.altered.append(path)
    return f"altered {path.stem} of {path.parent.name}"


def alter_checkpoint(scene: Scene) -> str | None:
    """Kill the command, change a byte of a checkpoint, and start the same command again: it must set it aside."""
    _wait_for(scene, "checkpoints")
    if scene.ended:
        return None
    scene.command.kill_first()
    checkpoints = sorted((scene.run / "checkpoints").glob("*.safetensors"))
    path = scene.draw.choice(checkpoints) if checkpoints else None
    if path is not None:
        _change_a_byte(scene, path)
    scene.start_again()
    return None if path is None else f"flow, and altered {path.name}"


def _change_a_byte(scene: Scene, path: Path) -> None:
    """Flip one drawn bit of a file."""
    content = bytearray(path.read_bytes())
    content[scene.draw.randrange(len(content))] ^= 1 << scene.draw.randrange(8)
    path.write_bytes(content)


def _wait_for(scene: Scene, directory: str) -> None:
    """Wait until the study has written a first file there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and not scene.ended:
        with suppress(OSError):
            if any(path.is_file() for path in (scene.run / directory).rglob("*")):
                return
        time.sleep(POLL_SECONDS)
