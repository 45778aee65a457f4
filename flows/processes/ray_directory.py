"""Where a local Ray cluster keeps its sockets and logs: a directory that no other user of the machine can enter."""

import os
import stat
import tempfile
from pathlib import Path

from aelle_core.foundation.errors import UserError

_LONGEST = 40  # Ray adds 65 bytes for a socket's name, and the system takes 107


def own_directory() -> Path:
    """Return the directory for Ray below the system's temporary one, made where it is missing.

    Ray gives every user of the machine all rights to what it makes; in a directory that only its owner can enter that
    gives nobody anything. Raises UserError where another user has taken the name, and where it is too long for the
    names of sockets.
    """
    user = os.geteuid()
    directory = Path(tempfile.gettempdir()) / f"aelle-{user}"
    if len(os.fsencode(directory)) > _LONGEST:
        raise UserError(
            f"the temporary directory {str(directory.parent)!r} is too long for the names of Ray's sockets: expected a "
            f"short one in TMPDIR, or in RAY_TMPDIR one of {_LONGEST} bytes at most that only you can enter"
        )
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise UserError(
            f"{str(directory)!r} cannot be made ({error.strerror}): expected a directory in TMPDIR that can be written"
        ) from error
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != user:
        raise UserError(
            f"{str(directory)!r} belongs to somebody else: expected it to be free, or in RAY_TMPDIR a directory that "
            "only you can enter"
        )
    if stat.S_IMODE(status.st_mode) != 0o700:
        directory.chmod(0o700)
    return directory
