"""Output folders that appear whole or not at all."""

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daskgmm.errors import OutputError

_HOST = socket.gethostname()


def local_folder(name: str) -> Path:
    """The absolute path of an output that can be made, checked before any work is done.

    Raises
    ------
    OutputError
        It is a URL, or the folder to make it in is missing or can't be written to.
    """
    if "://" in name:
        raise OutputError(
            f"The output {name} is a URL, and outputs are written to local folders only.",
            "Give a local path and copy the folder afterwards.",
        )
    # Resolved, so that replacing a link's target leaves the link.
    path = Path(name).resolve()
    require_writable(path.parent)
    return path


def require_writable(folder: Path) -> None:
    """Raise OutputError unless files can be made in a folder."""
    if not folder.is_dir():
        there = "is not a folder" if folder.exists() else "does not exist"
        raise OutputError(f"The output's folder {folder} {there}.", f"Make it: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"The output's folder {folder} can't be written to.",
            "Choose another one, or change its permissions.",
        )


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A temporary sibling folder, which becomes `target` when the block ends well.

    What is at `target` by then is replaced. However else the block ends, the sibling is gone.

    Raises
    ------
    OutputError
        It can't be made or put into place.
    """
    _remove_leftovers(target)
    prefix = f"{_prefix(target)}{os.getpid()}-"
    with _explained(target):
        unfinished = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        yield unfinished
        with _explained(target):
            unfinished.chmod(0o777 & ~_umask())  # mkdtemp makes folders for their owner only
            _put_into_place(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_into_place(unfinished: Path, target: Path) -> None:
    if not target.exists():
        unfinished.rename(target)
        return
    replaced = unfinished.with_name(f"{unfinished.name}-old")
    target.rename(replaced)
    try:
        unfinished.rename(target)
    except BaseException:
        replaced.rename(target)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _prefix(target: Path) -> str:
    # With the host's name: on a shared file system a process id alone means nothing.
    return f".{target.name}.tmp-{_HOST}-"


def _remove_leftovers(target: Path) -> None:
    """Remove what runs for the same target left that were killed outright."""
    prefix = _prefix(target)
    for sibling in target.parent.iterdir():
        if sibling.name.startswith(prefix):
            process = sibling.name.removeprefix(prefix).partition("-")[0]
            if process.isdigit() and not _is_alive(int(process)):
                shutil.rmtree(sibling, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise OutputError(
            f"{target} can't be written: {error.strerror or error}.",
            "Free some space." if full else "Check the folder's permissions.",
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
