"""The known file formats, and the format and files that paths stand for."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path as PathOnDisk
from typing import Any, Protocol, TypeAlias

from fsspec.implementations.local import LocalFileSystem

from daskgmm.data.columns import ColumnSelection
from daskgmm.data.files.hive import Condition
from daskgmm.data.files.listing import Listing, find_files, natural_order
from daskgmm.data.files.versions import FileRecord, InputFile
from daskgmm.data.formats.csv import open_csv
from daskgmm.data.formats.hdf5 import open_hdf5
from daskgmm.data.formats.npy import open_npy
from daskgmm.data.formats.parquet import open_parquet
from daskgmm.data.formats.zarr import open_zarr
from daskgmm.data.lakes.delta import open_delta
from daskgmm.data.lakes.iceberg import open_iceberg
from daskgmm.data.source import Source
from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.urls import address_of
from daskgmm.errors import ConfigurationError, DataError, MissingInputError

Path: TypeAlias = str | os.PathLike[str]


class Table(Protocol):
    """Files of one format, known by their metadata."""

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The files in row order."""

    @property
    def rows(self) -> Sequence[int | None]:
        """Rows of each file, where known without reading."""

    def source(self, selection: ColumnSelection, block_rows: int | None = None) -> Source:
        """Return the selected columns' rows; raise DataError where a file lacks them."""


@dataclass(frozen=True)
class Format:
    """A file format: how its files are opened, and facts that the rest of the package needs.

    Parameters
    ----------
    open : callable
        Takes the files and returns their `Table`; with ``delimited`` also the delimiter. Packages
        that only this format needs are imported there.
    extensions : tuple of str
        What the files' names end in, in lower case.
    named : bool
        Whether columns have names; otherwise they go by position.
    delimited : bool
        Whether the option ``delimiter`` applies.
    holds_arrays : bool
        Whether a file may hold several arrays; a path may then go on with the name of one.
    directory : bool
        Whether a directory counts as one file.
    versioned : bool
        Whether it is a table with versions; ``open`` then takes its folder and a `TableRequest`.
    catalogs : bool
        Whether a table may also be given by its name in a catalog.
    """

    open: Callable[..., Table]
    extensions: tuple[str, ...]
    named: bool = True
    delimited: bool = False
    holds_arrays: bool = False
    directory: bool = False
    versioned: bool = False
    catalogs: bool = False


# A new format is a file beside this one and a line here.
FORMATS: dict[str, Format] = {
    "parquet": Format(open_parquet, (".parquet", ".pq")),
    "csv": Format(open_csv, (".csv", ".csv.gz", ".tsv", ".tsv.gz"), delimited=True),
    "npy": Format(open_npy, (".npy",), named=False),
    "zarr": Format(open_zarr, (".zarr",), named=False, holds_arrays=True, directory=True),
    "hdf5": Format(open_hdf5, (".h5", ".hdf5"), named=False, holds_arrays=True),
    "delta": Format(open_delta, (), versioned=True),
    "iceberg": Format(open_iceberg, (), versioned=True, catalogs=True),
}


def find_inputs(
    path: Path | Sequence[Path],
    format_name: str | None,
    storage_options: Mapping[str, Any],
    where: tuple[Condition, ...] = (),
) -> tuple[str, tuple[InputFile, ...]]:
    """Return the format, given or by the files' extensions, and the files, each once.

    Several paths keep their order; the files of each are in natural order.

    Raises
    ------
    MissingInputError
        Nothing that can be read is there.
    ConfigurationError
        The format is unknown or can't be inferred, or the files have more than one.
    """
    if format_name is not None and format_name not in FORMATS:
        remedy = f"Known formats are {', '.join(FORMATS)}."
        raise ConfigurationError(f"The format {format_name!r} is not known.", remedy)
    known = FORMATS.values()
    tables = {name for name, each in FORMATS.items() if each.versioned}
    containers = tuple(end for each in known if each.holds_arrays for end in each.extensions)
    inputs: dict[tuple[str, str], InputFile] = {}
    names = _path_names(path)
    if format_name is not None and FORMATS[format_name].catalogs:
        in_catalog = [_catalogued(name) for name in names if _may_be_catalogued(name)]
        if in_catalog:
            return format_name, _alone(tuple(in_catalog), names)
    for name in names:
        found = find_files(
            name,
            storage_options,
            where,
            stores=format_name is not None and FORMATS[format_name].directory,
            containers=containers,
            tables=tables if format_name is None else tables & {format_name},
        )
        if found.table:
            return found.table, _alone(found.files, names)
        files = _of_known_format(name, found, format_name)
        _require_text(files)
        for file in sorted(files, key=lambda file: natural_order(file.path)):
            inputs.setdefault((file.path, file.key), file)
    ordered = tuple(inputs.values())
    return format_name or _common_format(ordered), ordered


def _may_be_catalogued(name: str) -> bool:
    """Whether a name is one of a catalog, such as ``default.db.table``, and no path."""
    is_path = bool(re.search(r"[/\\*?\[:]", name)) or PathOnDisk(name).exists()
    return "." in name.strip(".") and not is_path


def _catalogued(name: str) -> InputFile:
    return InputFile(FileRecord(name, None), name, LocalFileSystem(), catalogued=True)


def _alone(files: tuple[InputFile, ...], names: Sequence[str]) -> tuple[InputFile, ...]:
    """A table's folder; raise ConfigurationError where other paths are given beside it."""
    if len(names) > 1:
        raise ConfigurationError(
            f"{files[0].path} is a table, and {len(names)} paths were given.",
            "Give the table alone: its rows are read at one version.",
        )
    return files


def _require_text(files: Sequence[InputFile]) -> None:
    """Raise DataError unless all names are UTF-8: Arrow opens no others."""
    for file in files:
        try:
            file.path.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(file.path).decode(errors="backslashreplace")
            cause = f"The name of {shown} is not UTF-8."
            raise DataError(cause, "Rename it, for example with convmv.") from None


def _path_names(path: Path | Sequence[Path]) -> list[str]:
    if isinstance(path, str | os.PathLike) or not isinstance(path, Iterable):
        return [address_of(path)]
    paths = list(path)
    if not paths:
        raise ConfigurationError("The list of paths is empty.", "Name at least one file.")
    return [address_of(each) for each in paths]


def _format_of(file: InputFile) -> str | None:
    """The format of a file by its extension."""
    path = file.name.lower()
    return next((n for n, known in FORMATS.items() if path.endswith(known.extensions)), None)


def _of_known_format(path: str, found: Listing, format_name: str | None) -> tuple[InputFile, ...]:
    """Drop other files of a directory; a file that is given by name stays."""
    if format_name is not None and FORMATS[format_name].versioned:
        raise MissingInputError(
            f"{shown_address(path)} is not a table of the format {format_name}.",
            "Give the folder of the table, or leave format= (--format) out.",
        )
    wanted = tuple(FORMATS) if format_name is None else (format_name,)
    files = tuple(file for file in found.files if _format_of(file) in wanted)
    if files or (format_name and found.files):
        return files or found.files
    endings = ", ".join(end for name in wanted for end in FORMATS[name].extensions)
    if found.files and not found.listed:
        cause = f"{found.files[0].path} doesn't end in any of {endings}."
        remedy = f"Name the format with format= (--format): one of {', '.join(FORMATS)}."
        raise ConfigurationError(cause, remedy)
    shown = shown_address(path)
    if not found.files and not has_magic(path):
        hidden = "files whose names start with _ or . are not read"
        raise MissingInputError(f"{shown} is an empty folder; {hidden}.", "Check the path.")
    remedy = "Check the path, or name the format with format= (--format) if files end otherwise."
    raise MissingInputError(f"{shown} holds no file that ends in any of {endings}.", remedy)


def _common_format(files: Sequence[InputFile]) -> str:
    firsts: dict[str, str] = {}
    for file in files:
        firsts.setdefault(str(_format_of(file)), file.path)
    if len(firsts) > 1:
        mixed = ", ".join(f"{name} ({path})" for name, path in firsts.items())
        remedy = "Give files of one format, by a pattern or with format= (--format)."
        raise ConfigurationError(f"The files are of more than one format: {mixed}.", remedy)
    return next(iter(firsts))
