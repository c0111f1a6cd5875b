"""Rows that a job reads, and their fingerprint."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, Self

from daskgmm.data.dataset import Dataset, open_dataset
from daskgmm.data.files.versions import FileRecord
from daskgmm.data.list_columns import whole_columns
from daskgmm.errors import ConfigurationError, DataError
from daskgmm.fitting.fitted import Fitted
from daskgmm.jobs.json_values import digest
from daskgmm.jobs.options import Paths, build

OTHER_INPUTS = "the input files, or versions of them"
"""Description of changed inputs among the differences of a run or an output."""


@dataclass(frozen=True)
class Inputs:
    """Files or a table that hold rows, and the columns and partitions to read from them.

    Parameters
    ----------
    paths : tuple of str
        Files, directories, patterns or URLs.
    columns : tuple of str or None
        The features in order; ``None`` for all columns, or those of the model.
    weight_column : str or None
        The column of sample weights.
    format : str or None
        Format of the files, where their names don't show it.
    storage_options : mapping
        Passed to the store; may hold credentials, so it is never shown or written.
    where : tuple of str
        Conditions on directories named ``key=value``, such as ``date=2026-11-21``.
    delimiter : str or None
        The character between the values of CSV files, where their first lines don't show it.
    version : int or str or None
        Version of a table. It and the time are no part of the configuration: the fingerprint has
        what the table holds there.
    as_of : str or None
        Time for the version of a table that was current then.
    exclude : tuple of str
        Columns that are no features, where neither `columns` nor a model names them.
    numeric : bool
        Whether only columns of numbers are features, likewise.
    """

    paths: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    weight_column: str | None = None
    format: str | None = None
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    where: tuple[str, ...] = ()
    delimiter: str | None = None
    version: int | str | None = None
    as_of: str | None = None
    exclude: tuple[str, ...] = ()
    numeric: bool = False

    @classmethod
    def of(cls, paths: Paths, options: Mapping[str, Any]) -> Self:
        """Create the inputs from paths and the options of a job."""
        several = (paths,) if isinstance(paths, str | os.PathLike) else paths
        columns = options.get("columns")
        if isinstance(columns, str):
            raise ConfigurationError(
                f"columns is the string {columns!r}.",
                f"Give a list of names, such as [{columns!r}].",
            )
        return build(
            cls,
            options,
            paths=tuple(os.fspath(path) for path in several),
            columns=None if columns is None else tuple(columns),
            where=tuple(options.get("where", ())),
            exclude=tuple(options.get("exclude") or ()),
        )

    def configuration(self) -> dict[str, Any]:
        """The choices that a run's result depends on, beside the rows themselves."""
        found: dict[str, Any] = {
            "columns": self.columns,
            "weight_column": self.weight_column,
            "where": self.where,
        }
        if self.delimiter is not None:  # earlier records have none
            found["delimiter"] = self.delimiter
        if self.exclude or self.numeric:
            found |= {"exclude": self.exclude, "numeric": self.numeric}
        return found | {"format": self.format}

    def output_configuration(self, marks: Mapping[str, Any]) -> dict[str, Any]:
        """The choices that rows written for these depend on; `marks` are their fingerprint."""
        found: dict[str, Any] = {"inputs_sha256": marks["sha256"], "columns": self.columns}
        return found if self.delimiter is None else found | {"delimiter": self.delimiter}

    def open(self) -> Dataset:
        """Open the rows; only their metadata is read."""
        return self._open(self.columns, self.exclude, numeric=self.numeric)

    def open_for(self, model: Fitted) -> Dataset:
        """Open the rows with the columns that a model was fitted on.

        Raises
        ------
        ConfigurationError
            Other columns were chosen.
        DataError
            A column is missing, or the number of columns differs from the model's.
        """
        fitted = model.columns
        if fitted is not None and self.columns not in (None, fitted, whole_columns(fitted)):
            raise ConfigurationError(
                f"The columns {_listed(self.columns)} were chosen, but the model was fitted on "
                f"{_listed(fitted)}.",
                "Don't choose columns: those of the model are used by default.",
            )
        dataset = self.open() if fitted is None else self._open(fitted)
        if dataset.n_features != model.n_features:
            raise DataError(
                f"{dataset.paths[0]} has {dataset.n_features} feature columns, but the model was "
                f"fitted on {model.n_features}.",
                "Choose the columns that the model was fitted on, in the same order.",
            )
        return dataset

    def _open(
        self,
        columns: tuple[str, ...] | None,
        exclude: tuple[str, ...] = (),
        *,
        numeric: bool = False,
    ) -> Dataset:
        return open_dataset(
            list(self.paths),
            format=self.format,
            columns=columns,
            sample_weight=self.weight_column,
            exclude=exclude,
            numeric=numeric,
            where=self.where,
            version=self.version,
            as_of=self.as_of,
            delimiter=self.delimiter,
            storage_options=self.storage_options,
        )


class Described(Protocol):
    """Rows whose size is known, at least roughly."""

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Files that hold the rows."""

    @property
    def n_features(self) -> int:
        """Number of features D."""


def rows_of(dataset: Described) -> int | None:
    """Number of rows, ``None`` unless every file's metadata gives it."""
    rows = [file.rows for file in dataset.files]
    known = [count for count in rows if count is not None]
    return sum(known) if len(known) == len(rows) else None


def fingerprint(dataset: Dataset, rows: int | None = None) -> dict[str, Any]:
    """Each file with its size and rows, or a table's version, and a hash that identifies them.

    Parameters
    ----------
    dataset : Dataset
    rows : int or None
        Number of all rows, once they were read; recorded if there is a single file.
    """
    files = [asdict(file) for file in dataset.files]
    marks = list(map(version_of, files))
    if len(files) == 1 and files[0]["rows"] is None:
        files[0]["rows"] = rows
    return {"sha256": digest(marks), "files": files}


def version_of(file: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a file from other versions of it, or the rows of a table from other rows.

    Some formats give the number of rows only after reading. A later version of a table may have
    the same rows in the chosen partitions: the digest of its content says so.
    """
    left_out = {"rows", "version"} if file.get("table") else {"rows"}
    return {name: value for name, value in file.items() if name not in left_out}


def rows_in(file: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that files with the same rows share: a file's version, or the partitions of a table.

    A later version of a table repeats most rows of an earlier one.
    """
    if file.get("table"):
        return {name: file[name] for name in ("path", "table", "where")}
    return version_of(file)


def _listed(names: Sequence[str] | None) -> str:
    return ", ".join(map(repr, names or ()))
