"""Folders of Delta, Iceberg, Hudi and Lance tables, which must not be read as plain files.

Their metadata list the files that count; the others hold rows that were removed or replaced. Those
of Delta and Iceberg are read by these metadata; the others are refused.
"""

import logging
import re
from collections.abc import Iterable

from daskgmm.data.storage.credentials import shown_address
from daskgmm.errors import DataError

logger = logging.getLogger(__name__)
LOG_FOLDERS = {
    "_delta_log": "Delta",
    ".hoodie": "Hudi",
    "metadata": "Iceberg",
    "_versions": "Lance",
}
"""Folders that mark tables; the logs in them list the files that count."""
READABLE = {"Delta": "delta", "Iceberg": "iceberg"}
"""Kinds of tables that are read, and the names of their formats."""
METADATA_FILE = re.compile(r".*\.metadata\.json(\.gz)?")
"""Metadata of an Iceberg table, which stand for the table."""
LOG_FILE = re.compile(
    r"(?P<root>.*?)/(?P<mark>_delta_log|\.hoodie)(?:/.*)?"
    r"|(?P<iceberg>.*?)/metadata/(?:[^/]*\.metadata\.json|version-hint\.text)"
    r"|(?P<lance>.*?)/_versions/[^/]*\.manifest"
)


def table_root(folder: str) -> str:
    """Root of the table that a folder would be a partition or the data of."""
    while "=" in folder.rpartition("/")[2]:
        folder = folder.rpartition("/")[0]
    return folder.removesuffix("/data")


def require_plain_files(root: str, keys: Iterable[str]) -> None:
    """Raise DataError if a directory holds a table: not all files of a table count."""
    unfinished = False
    for key in keys:
        inner = key.removeprefix(root)
        if found := LOG_FILE.fullmatch(inner):
            mark = found["mark"] or ("metadata" if found["lance"] is None else "_versions")
            at = next(filter(None, found.group("root", "iceberg", "lance")), "")
            raise table_error(f"{root.rstrip('/')}{at}", LOG_FOLDERS[mark])
        unfinished = unfinished or inner.startswith("/_temporary/")
    if unfinished:
        fact = "%s holds _temporary: its writer is at work or was killed, so rows may be missing."
        logger.warning(fact, root)


def table_error(root: str, kind: str) -> DataError:
    """The error that a folder is a table of some kind, not plain files."""
    shown = shown_address(root)
    remedy = (
        f"Give the table itself, {shown}, without a format or others beside it; where= (--where) "
        "chooses partitions."
        if kind in READABLE
        else "Write its current rows as plain Parquet files and give those, or name each of the "
        "files that its metadata list."
    )
    return DataError(
        f"{shown} is a table of {kind}, whose metadata list the files that count: "
        "read as plain files, rows that were removed or replaced would come back.",
        remedy,
    )
