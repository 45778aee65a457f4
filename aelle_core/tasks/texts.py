"""Where texts come from: Python's own documentation, a file, or an address."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from aelle_core.files.places import check_is_file, local
from aelle_core.foundation.errors import UserError

PYTHON = "python"
WAR_AND_PEACE = "war-and-peace"


def read_text(source: str, sha256: str | None = None) -> str:
    """Return the text of a file, of an http(s) address (downloaded once, to the user's cache, with a progress bar), or
    "python": the language reference that every Python carries. Lines end with a newline, whatever they ended with.

    `sha256` is checked against the file's bytes; an address needs one, or ends with it: #sha256=..., as pip has it.
    Raises UserError for what cannot be had or read, is empty, is not UTF-8 or has another hash.
    """
    is_address = urlsplit(source).scheme in ("http", "https")
    if is_address:
        source, _, own_hash = source.partition("#sha256=")
        sha256 = sha256 or own_hash or None
    if source == PYTHON:
        content = _language_reference().encode()
    elif source == WAR_AND_PEACE:
        raise UserError(
            f"text {source!r} is not carried along: expected a file with it, such as Project Gutenberg's ebook 2600, "
            "or an address with its hash, such as https://www.gutenberg.org/files/2600/2600-0.txt#sha256=..."
        )
    else:
        content = _read(_download(source, sha256) if is_address else Path(source))
    if not content:
        raise UserError(f"text {source!r} is empty: expected some English")
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256.lower():
        raise UserError(f"text {source!r} has the SHA-256 {digest}: expected {sha256}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"text {source!r} is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}; expected UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read(path: Path) -> bytes:
    path = local(path)
    check_is_file(path, "a file of UTF-8 text", "text ")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"text {str(path)!r} cannot be read ({error.strerror}): expected a file of UTF-8 text"
        ) from error


def _download(address: str, sha256: str | None) -> Path:
    if sha256 is None:
        raise UserError(f"text {address!r} comes without a hash: expected #sha256=... at its end, or the option sha256")
    import pooch

    try:
        return Path(
            pooch.retrieve(
                address, known_hash=f"sha256:{sha256}", path=pooch.os_cache("aelle") / "texts", progressbar=True
            )
        )
    except Exception as error:  # pooch passes on whatever requests and urllib3 raise
        raise UserError(
            f"text {address!r} could not be downloaded ({type(error).__name__}: {error}): name a file instead"
        ) from error


def _language_reference() -> str:
    """Return the topics of `help()`: the reference's sections, each paragraph once, for many sections hold others."""
    try:
        from pydoc_data import topics
    except ImportError as error:
        raise UserError(
            "this Python comes without pydoc_data: name a file as the text (task option text=...)"
        ) from error
    paragraphs = (part.strip("\n") for name in sorted(topics.topics) for part in topics.topics[name].split("\n\n"))
    return "\n\n".join(dict.fromkeys(paragraphs))
