"""Files on a disk of this machine that appear whole, and stay after it went down."""

import os
import secrets
import shutil
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it, so that readers see all of it or none."""
    unfinished = path.with_name(f"{unfinished_prefix(path.name)}{secrets.token_hex(8)}")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:  # a signal may come as soon as the file is there
        unfinished.unlink(missing_ok=True)
        raise


def link(source: Path, target: Path) -> None:
    """Link a file to a second name, or copy it if the disk does not allow links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError:
        shutil.copyfile(source, target)
        sync(target)


def sync(path: Path) -> None:
    """Have the disk hold all of a file before it gets its name."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def unfinished_prefix(name: str) -> str:
    """Prefix of the names of files that are still being written."""
    return f".{name}."
