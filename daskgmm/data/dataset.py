"""`Dataset` and `open_dataset`: files of rows, described by their metadata but not yet read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from daskgmm.data.columns import ColumnSelection, as_names
from daskgmm.data.files.hive import conditions
from daskgmm.data.files.listing import require_unchanged
from daskgmm.data.files.versions import FileRecord, InputFile
from daskgmm.data.formats.registry import FORMATS, Path, Table, find_inputs
from daskgmm.data.head import head
from daskgmm.data.lakes.request import TableRequest, moment
from daskgmm.data.lakes.table import LakeTable
from daskgmm.data.source import Source
from daskgmm.errors import ConfigurationError, InputTypeError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Dataset:
    """Rows in files, as `open_dataset` returns them.

    Parameters
    ----------
    format : str
        Name of the files' format.
    table : Table
        The files and their metadata.
    selection : ColumnSelection
        The chosen columns.
    block_rows : int or None
        Most rows of a block; ``None`` for 65,536, or fewer where rows are wide.
    """

    format: str
    table: Table
    selection: ColumnSelection
    block_rows: int | None = None

    def __post_init__(self) -> None:
        self.source()  # a wrong column is an error here, not when the rows are read

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The features' names, where the format has names."""
        return self._source.columns

    @property
    def n_features(self) -> int:
        """Number of features, D."""
        return self._source.n_features

    @property
    def weight_column(self) -> str | None:
        """Name of the column of sample weights."""
        return self.selection.weight

    @property
    def paths(self) -> tuple[str, ...]:
        """The files' paths or URLs, in row order; of a table with versions its folder's."""
        return tuple(record.path for record in self.files)

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Records that identify the files and their versions, or the version of a table."""
        if isinstance(self.table, LakeTable):
            return (self.table.record,)
        pairs = zip(self.table.files, self.table.rows, strict=True)
        return tuple(replace(file.record, rows=rows) for file, rows in pairs)

    def require_unchanged(self) -> None:
        """Raise unless all files still are as they were when they were opened.

        Each read checks the file it reads; this also notices changes after the last read.

        Raises
        ------
        DataError
            A file has changed or is gone.
        """
        if isinstance(self.table, LakeTable):  # the files of a version never change
            return
        require_unchanged(self.table.files, stores=FORMATS[self.format].directory)

    def source(self, columns: Sequence[str] | None = None) -> Source:
        """Return the rows in parts, with ``columns`` as features in that order if given."""
        return self._source if columns is None else self.select(columns=columns).source()

    def head(self, n: int = 5) -> "pd.DataFrame":
        """Return the first rows as they are read: features, then the weights and kept columns.

        Parameters
        ----------
        n : int
            Most rows.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ConfigurationError
            It is not a whole number of at least 0.
        """
        if not (isinstance(n, int | np.integer) and n >= 0):
            raise ConfigurationError(f"n={n!r}.", "Pass a whole number of at least 0.")
        return head(self.table.source(self.selection, max(int(n), 1)), int(n), self.weight_column)

    def __len__(self) -> int:
        """Number of rows, where the files' metadata have it.

        Raises
        ------
        InputTypeError
            They do not.
        """
        lengths = self._source.lengths
        if lengths is None:
            raise InputTypeError(
                f"The number of rows of {self.paths[0]} is known only when they have been read.",
                "Fit or score, which count them; Parquet, arrays and tables have it in their "
                "metadata.",
            )
        return sum(lengths)

    def __bool__(self) -> bool:
        """True, also without rows, whose number may not be known."""
        return True

    def select(
        self,
        *,
        columns: Sequence[str | int] | None = None,
        keep: Sequence[str | int] | None = None,
        sample_weight: str | int | None = None,
    ) -> Self:
        """Return the same files with other columns; ``None`` leaves a choice as it is.

        Parameters
        ----------
        columns : sequence of str, or of int where columns have no names, optional
            The features, in this order.
        keep : sequence of str or int, optional
            Columns that blocks carry along for outputs; features may be among them, and keys
            of directories named ``key=value``.
        sample_weight : str or int, optional
            The column of sample weights.

        Raises
        ------
        ConfigurationError
            No column is named, or one twice.
        DataError
            A file lacks a column, or it holds no numbers.
        """
        chosen = self.selection
        if columns is not None:
            chosen = replace(chosen, columns=feature_names(columns, self.format))
        if keep is not None:
            chosen = replace(chosen, keep=_names(keep, "keep", self.format))
        if sample_weight is not None:
            chosen = replace(chosen, weight=weight_name(sample_weight, self.format))
        return replace(self, selection=chosen)

    @cached_property
    def _source(self) -> Source:
        return self.table.source(self.selection, self.block_rows)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise InputTypeError(
            "A Dataset is not an array: its rows stay in their files.",
            "Fit daskgmm's mixtures to it, without a scaler before them; or read the files as a "
            "frame, with pandas or dask.dataframe.",
        )

    def __repr__(self) -> str:
        rows = [rows for rows in self.table.rows if rows is not None]
        known = f", {sum(rows):,} rows" if len(rows) == len(self.table.files) else ""
        names = self.columns or ()
        listed = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
        shown = f": {listed}" if names else ""
        weight = f", weights in {self.weight_column}" if self.weight_column else ""
        count = len(self.table.files)
        size = f"{count} {self.format} file{'s' * (count != 1)}"
        if isinstance(self.table, LakeTable):
            size = f"{self.format} table at version {self.table.record.version}"
        return f"Dataset({size}{known}, {self.n_features} features{shown}{weight})"


def open_dataset(
    path: Path | Sequence[Path],
    *,
    format: str | None = None,  # noqa: A002  the name that readers of files give it
    columns: Sequence[str | int] | None = None,
    sample_weight: str | int | None = None,
    exclude: Sequence[str | int] = (),
    numeric: bool = False,
    where: str | Sequence[str] | None = None,
    version: int | str | None = None,
    as_of: str | date | None = None,
    delimiter: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    block_rows: int | None = None,
) -> Dataset:
    """Open files of rows; only metadata is read until the rows are used.

    Arrays (``.npy``, Zarr, HDF5) have the shape (rows, columns). Where a Zarr group or an HDF5
    file holds several, a path chooses one: ``rows.zarr/group/name``, ``rows.h5/group/name``.
    NetCDF's attributes are applied to the numbers; see `daskgmm.data.formats.packing`. Chunks of
    HDF5 that were never written are refused; in Zarr they are zeros, with a warning, if its fill
    value is zero, and missing if that is NaN.

    Parameters
    ----------
    path : str, path-like, or sequence of them
        Files, directories (searched to any depth, without names that start with ``_`` or
        ``.``), patterns such as ``data/*.parquet``, or URLs of any store that fsspec knows.
        Files of a directory or pattern are taken in natural order, as Dask does (``part.2``
        before ``part.10``), those of a sequence in its order; each once. A Zarr store counts as
        a file.
    format : str, optional
        ``"parquet"``, ``"csv"``, ``"npy"``, ``"zarr"``, ``"hdf5"``, ``"delta"`` or ``"iceberg"``;
        by default the files' extensions decide, and a folder with the log or metadata of a table,
        or a ``.metadata.json`` file of Iceberg, is that table. With ``"iceberg"`` the path may be a
        name in a catalog of pyiceberg, ``catalog.namespace.table``, and `storage_options` are then
        the catalog's properties.
    columns : sequence of str or int, optional
        The features, in this order; by default all columns but the weights'. Columns of arrays
        go by their positions, from 0, which then are their names. Keys of directories named
        ``key=value`` can be chosen like columns where the values are numbers. A column of lists
        of numbers (also Spark's vectors) stands for its elements, ``name[0]``, ``name[1]``, …,
        which can be chosen one by one too; where its type does not tell their number, the first
        list that is not null does, and is read at once.
    sample_weight : str or int, optional
        The column of sample weights.
    exclude : sequence of str or int
        Columns that are no features, in place of `columns`.
    numeric : bool
        Whether all columns of numbers are features and no others, in place of `columns`.
    where : str or sequence of str, optional
        Conditions on keys in the names of directories, such as ``"date=2026-11-21"``, or
        ``["date>=2026-11-01", "date<2026-12-01"]``: all of them. Operators are ``= != < <= >
        >=``; values compare as numbers where both are, else as text. Other
        directories are neither listed nor opened. In tables, conditions on partition fields, and
        in Iceberg on columns that the table is partitioned by functions of.
    version : int or str, optional
        Version of a table: a number in Delta, a snapshot, tag or branch in Iceberg; by default
        the current one.
    as_of : str, date or datetime, optional
        Time for the version of a table that was current then, as ISO 8601 writes it; UTC unless
        it has a zone, and a date stands for its first moment.
    delimiter : str, optional
        The character between the values of CSV files; by default the one of ``, ; tab |`` that
        parts each file's header and first rows alike.
    storage_options : mapping, optional
        Passed to the store, such as credentials; never shown.
    block_rows : int, optional
        Most rows held at a time by a task.

    Returns
    -------
    Dataset

    Raises
    ------
    MissingInputError
        Nothing that can be read is there.
    ConfigurationError
        An option is wrong, or the files are of more than one format.
    DataError
        A file is damaged, lacks a column, or has values that are not numbers.
    """
    if block_rows is not None and not (isinstance(block_rows, int | np.integer) and block_rows > 0):
        raise ConfigurationError(f"block_rows={block_rows!r}.", "Pass a whole number above 0.")
    request = TableRequest(conditions(where), version, moment(as_of), storage_options or {})
    name, files = find_inputs(path, format, request.storage_options, request.where)
    selection = column_selection(name, columns, sample_weight, exclude, numeric=numeric)
    return Dataset(name, _open(name, files, delimiter, request), selection, block_rows)


def _open(
    format_name: str, files: Sequence[InputFile], delimiter: str | None, request: TableRequest
) -> Table:
    known = FORMATS[format_name]
    if delimiter is not None and not known.delimited:
        raise ConfigurationError(
            f"A delimiter was given, and the files are {format_name}.",
            "Leave delimiter= (--delimiter) out: it is for CSV.",
        )
    if known.versioned:
        return known.open(files[0], request)
    if (request.version, request.as_of) != (None, None):
        raise ConfigurationError(
            f"A version or time was given, and the files are {format_name}, which has none.",
            "Leave version= and as_of= (--version, --as-of) out: they are for tables.",
        )
    return known.open(files) if delimiter is None else known.open(files, delimiter)


def column_selection(
    format_name: str,
    columns: Sequence[str | int] | None,
    sample_weight: str | int | None,
    exclude: Sequence[str | int],
    *,
    numeric: bool,
) -> ColumnSelection:
    """The options that choose columns; raise ConfigurationError where they make no sense."""
    if columns is not None and (numeric or len(exclude)):
        raise ConfigurationError(
            f"Both columns and {'numeric' if numeric else 'exclude'} were given.",
            "Name the features with columns= (--columns), or choose them by exclude= (--exclude) "
            "and numeric= (--numeric).",
        )
    return ColumnSelection(
        None if columns is None else feature_names(columns, format_name),
        None if sample_weight is None else weight_name(sample_weight, format_name),
        exclude=_names(exclude, "exclude", format_name),
        only_numeric=numeric,
    )


def feature_names(columns: Sequence[str | int], format_name: str) -> tuple[str, ...]:
    """The option ``columns`` as names; raise ConfigurationError where it is none."""
    names = _names(columns, "columns", format_name)
    if not names:
        raise ConfigurationError("columns is empty.", "Name at least one, or leave it out.")
    return names


def weight_name(column: str | int, format_name: str) -> str:
    """The option ``sample_weight`` as a name; raise ConfigurationError where it is none."""
    return _names([column], "sample_weight", format_name)[0]


def _names(columns: Sequence[str | int], option: str, format_name: str) -> tuple[str, ...]:
    return as_names(columns, option, positions=not FORMATS[format_name].named)
