"""The password of a Prefect server of ours: made once, kept in a file that its owner alone can read."""

import os
import secrets
import stat
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil

from aelle_core.foundation.errors import UserError
from flows.processes.guard import SIGN_IN

_DIRECTORY = "aelle-serve"
_USER = "aelle"


def new_secret() -> str:
    """Return a password that nobody guesses, as Prefect wants it: name:password."""
    return f"{_USER}:{secrets.token_hex(24)}"


def secret_file(home: Path, port: int) -> Path:
    """Where the password of the server on that port is kept, below Prefect's home."""
    return home / _DIRECTORY / str(port)


def link_file(home: Path, port: int) -> Path:
    """Where the link that signs a browser in is kept."""
    return home / _DIRECTORY / f"{port}.link"


def kept_secret(home: Path, port: int) -> str:
    """Return the password of the server on that port, made at the first call.

    Raises UserError where the file is not this user's alone.
    """
    path = secret_file(home, port)
    if not os.path.lexists(path):
        write_private(path, new_secret())
    return _read(path)


def known_secret(home: Path, url: str) -> str | None:
    """Return the password that is kept for the server at `url`; None where that is not on this machine, or not one of
    ours."""
    parts = urlsplit(url)
    if parts.port is None or not _is_here(parts.hostname or ""):
        return None
    path = secret_file(home, parts.port)
    return _read(path) if path.is_file() else None


def sign_in_link(url: str, secret: str) -> str:
    """Return the address that signs a browser in to the server whose API is at `url`."""
    return f"{url.removesuffix('/api')}{SIGN_IN}#{quote(secret)}"


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, in the place of one of that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{text}\n")


def _read(path: Path) -> str:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise UserError(f"{str(path)!r} can be read by others: expected a file of this user alone; remove it")
    return path.read_text().strip()


def _is_here(host: str) -> bool:
    """Whether a host's name is loopback's or an address of this machine."""
    if host == "localhost":
        return True
    try:
        if ip_address(host).is_loopback:
            return True
    except ValueError:
        return False
    return any(host == address.address for several in psutil.net_if_addrs().values() for address in several)
