"""Conditions on columns of Iceberg tables that are partitioned by a function of them.

A table that is partitioned by ``day(time)`` is pruned by a condition on ``time``: its metadata tell
which files may hold such rows, and of which all rows are such. In the others the column is read
where the table is opened, and the other rows count as removed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyiceberg import expressions

from daskgmm.data.files.hive import Condition
from daskgmm.data.files.versions import InputFile
from daskgmm.data.lakes.iceberg_data import StoredNames
from daskgmm.data.lakes.table import LakeFile
from daskgmm.errors import ConfigurationError

_PRUNING = {
    "=": expressions.EqualTo,
    "!=": expressions.NotEqualTo,
    "<": expressions.LessThan,
    "<=": expressions.LessThanOrEqual,
    ">": expressions.GreaterThan,
    ">=": expressions.GreaterThanOrEqual,
}
_HOLDING = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


class RowConditions:
    """Conditions that all hold for the rows to read.

    Parameters
    ----------
    conditions : sequence of Condition
        On the table's columns; a missing value meets none.
    schema : pyarrow.Schema
        The table's columns.
    current : mapping of str to str
        What these columns are called in the current version.
    stored : StoredNames
    defaults : mapping of str to pyarrow.Scalar
        Values of columns in files that lack them; else they are missing there.
    """

    def __init__(
        self,
        conditions: Sequence[Condition],
        schema: pa.Schema,
        current: Mapping[str, str],
        stored: StoredNames,
        defaults: Mapping[str, pa.Scalar],
    ) -> None:
        self._values = [(each, _value(each, schema.field(each.key).type)) for each in conditions]
        self._current = current
        self._stored = stored
        self._defaults = defaults

    @property
    def filter(self) -> Any:
        """The conditions as pyiceberg plans its scans by."""
        found: Any = expressions.AlwaysTrue()
        for each, value in self._values:
            name = self._current[each.key]
            own = _PRUNING[each.operator](name, value.as_py())
            found = expressions.And(found, expressions.And(expressions.NotNull(name), own))
        return found

    def chosen(self, planned: tuple[Any, LakeFile]) -> LakeFile | None:
        """The file of a task with the rows that meet the conditions, if there are any."""
        task, file = planned
        if not self._values or task.residual == expressions.AlwaysTrue():
            return file
        removed, rows = self._others(file.file)
        if file.removed is not None:
            removed = np.union1d(removed, file.removed)
        return replace(file, removed=removed) if len(removed) < rows else None

    def _others(self, file: InputFile) -> tuple[NDArray[np.int64], int]:
        """Positions of a file's rows that do not meet the conditions, and the number of all."""
        with file.reading() as stream:
            reader = pq.ParquetFile(stream)
            names = self._stored(reader.schema_arrow)
            columns = sorted({names[each.key] for each, _ in self._values if each.key in names})
            found, first = [np.arange(0)], 0
            for batch in reader.iter_batches(columns=columns, use_threads=False):
                found.append(first + np.flatnonzero(~self._holding(batch, names)))
                first += batch.num_rows
        return np.concatenate(found), first

    def _holding(self, batch: pa.RecordBatch, names: Mapping[str, str]) -> NDArray[np.bool_]:
        found = np.ones(batch.num_rows, np.bool_)
        for each, value in self._values:
            missing = self._defaults.get(each.key, pa.scalar(None, value.type))
            column = (
                batch.column(names[each.key]).cast(value.type, safe=False)
                if each.key in names
                else pa.repeat(missing, batch.num_rows)
            )
            holds = pc.fill_null(_HOLDING[each.operator](column, value), fill_value=False)
            found &= holds.to_numpy(zero_copy_only=False)
        return found


def _value(condition: Condition, kind: pa.DataType) -> pa.Scalar:
    """The value of a condition in its column's type.

    Raises
    ------
    ConfigurationError
        It is no such value.
    """
    try:
        if pa.types.is_timestamp(kind):
            time = datetime.fromisoformat(condition.value)
            if kind.tz is not None:
                time = time if time.tzinfo else time.replace(tzinfo=UTC)
            return pa.scalar(time, kind)
        return pa.scalar(condition.value).cast(kind)
    except (ValueError, TypeError, pa.ArrowException):
        raise ConfigurationError(
            f"{condition} can't be applied: the column {condition.key} is of the type {kind}.",
            "Write a value of this type, and dates and times as 2026-11-21T05:00:00.",
        ) from None
