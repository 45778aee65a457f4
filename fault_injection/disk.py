"""A small disk in memory, mounted for one round, which can be full or read-only for a while."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOMY = "64m"
_PAGE_BYTES = 4096


class Disk:
    """A mounted disk. Its user must be allowed to mount (root, or a container with CAP_SYS_ADMIN)."""

    def __init__(self, path: Path, size: str = ROOMY) -> None:
        self.path = path
        self._covered: Path | None = None
        path.mkdir(parents=True)
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))

    def fill(self) -> None:
        """Leave no room for another file."""
        used = int(_output("df", "--output=used", "--block-size=1", str(self.path)).split()[-1])
        _mount("-o", f"remount,size={used + _PAGE_BYTES}", str(self.path))

    def cover(self, directory: Path) -> None:
        """Make a directory of the disk read-only, also for those who have it open."""
        # A mount of its own over the same files: a disk cannot be remounted while a file on it is open for writing.
        _mount("--bind", str(directory), str(directory))
        self._covered = directory
        _mount("-o", "remount,bind,ro", str(directory))

    def cure(self) -> None:
        """Make the disk roomy and writable again."""
        if self._covered is not None:
            _output("umount", "--lazy", str(self._covered))
            self._covered = None
        _mount("-o", f"remount,size={ROOMY}", str(self.path))


@contextmanager
def mounted(path: Path, size: str = ROOMY) -> Iterator[Disk | None]:
    """Mount a disk at `path` while the block runs; None, and a plain directory, where this user may not mount."""
    try:
        disk = Disk(path, size)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield disk
    finally:
        disk.cure()
        _output("umount", "--lazy", str(path))


def _mount(*arguments: str) -> None:
    _output("mount", *arguments)


def _output(*command: str) -> str:
    """Return what a command prints. Raises CalledProcessError where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
