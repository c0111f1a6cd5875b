"""Directories named ``key=value``, as Hive lays tables out: choosing them, and their values."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Self
from urllib.parse import unquote

import pyarrow as pa

from daskgmm.errors import ConfigurationError, MissingInputError

NULL = "__HIVE_DEFAULT_PARTITION__"
"""Name that stands for a null in the name of a directory."""

_SHOWN = 20
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CONDITION = re.compile(r"\s*([^=!<>]*[^=!<>\s])\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """A condition on the value of a partition key, such as ``date>=2026-11-21``.

    Parameters
    ----------
    key : str
    operator : str
        One of ``= != < <= > >=``.
    value : str
        Compared as a number if both are numbers, else as text, which suits ISO dates.
    """

    key: str
    operator: str
    value: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse a condition.

        Raises
        ------
        ConfigurationError
            It has no key or no operator.
        """
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise ConfigurationError(
                f"The condition {text!r} is not of the form KEY=VALUE.",
                f"Write a key, one of {' '.join(_OPERATORS)}, and a value, as in date=2026-11-21.",
            )
        return cls(*found.groups())

    def holds(self, value: str | None) -> bool:
        """Whether a partition's value meets the condition; a null meets none."""
        if value is None:
            return False
        compare = _OPERATORS[self.operator]
        if _NUMBER.fullmatch(value) and _NUMBER.fullmatch(self.value):
            return compare(float(value), float(self.value))
        return compare(value, self.value)

    def __str__(self) -> str:
        return f"{self.key}{self.operator}{self.value}"


def conditions(where: str | Sequence[str] | None) -> tuple[Condition, ...]:
    """The conditions that must all hold; see `Condition.of`."""
    texts = [where] if isinstance(where, str) else where or ()
    return tuple(Condition.of(text) for text in texts)


def partition_keys(path: str) -> dict[str, str | None]:
    """Keys and values of the directories in a path; ``None`` for the directory of nulls."""
    pairs = (name.partition("=") for name in path.split("/")[:-1])
    found = {unquote(key): unquote(value) for key, sign, value in pairs if sign and key}
    return {key: None if value == NULL else value for key, value in found.items()}


class PartitionFilter:
    """Chooses files and directories by conditions, and collects the keys' values for errors.

    Parameters
    ----------
    wanted : tuple of Condition
    """

    def __init__(self, wanted: tuple[Condition, ...]) -> None:
        self.wanted = wanted
        self._seen: dict[str, set[str]] = {}

    def admits(self, directory: str) -> bool:
        """Whether files below a directory may meet the conditions, by the keys so far."""
        known = self._keys(f"{directory}/")
        return all(each.holds(known[each.key]) for each in self.wanted if each.key in known)

    def settles(self, directory: str) -> bool:
        """Whether the keys so far decide all conditions."""
        known = self._keys(f"{directory}/")
        return all(each.key in known for each in self.wanted)

    def require(self, paths: Iterable[str], shown: str) -> None:
        """Raise unless files are left, and each has all keys that conditions name.

        Raises
        ------
        ConfigurationError
            A key names no directory.
        MissingInputError
            No file meets the conditions.
        """
        found = False
        for path in paths:
            found = True
            known = self._keys(path)
            for each in self.wanted:
                if each.key not in known:
                    raise _unknown_key(each, sorted(self._seen), shown)
        if found:
            return
        unseen = [each for each in self.wanted if each.key not in self._seen]
        if unseen and not self._refused:
            raise _unknown_key(unseen[0], sorted(self._seen), shown)
        said = " and ".join(map(str, self.wanted))
        raise MissingInputError(f"{shown} holds no partition with {said}.", self._values())

    @property
    def _refused(self) -> bool:
        """Whether one of the conditions excludes all values seen."""
        return any(
            not any(each.holds(value) for value in self._seen[each.key])
            for each in self.wanted
            if each.key in self._seen
        )

    def _keys(self, path: str) -> dict[str, str | None]:
        known = partition_keys(path)
        for key, value in known.items():
            self._seen.setdefault(key, set()).add(NULL if value is None else value)
        return known

    def _values(self) -> str:
        keys = dict.fromkeys(each.key for each in self.wanted if each.key in self._seen)
        listed = (f"{key} is {_listed(self._seen[key])}" for key in keys)
        return f"There, {'; '.join(listed)}." if keys else "Check the path."


def _unknown_key(condition: Condition, known: Sequence[str], shown: str) -> ConfigurationError:
    keys = f"Its keys are {', '.join(known)}" if known else "It has no such directories"
    return ConfigurationError(
        f"{shown} has no directories named {condition.key}=…, so {condition} can't be applied.",
        f"{keys}; rows can't be chosen by the values of other columns.",
    )


def _listed(values: Iterable[str]) -> str:
    ordered = sorted(values)
    if all(map(_NUMBER.fullmatch, ordered)):
        ordered.sort(key=float)
    if len(ordered) <= _SHOWN:
        return ", ".join(ordered)
    return f"{ordered[0]} to {ordered[-1]} ({len(ordered)} values)"


def key_columns(
    paths: Sequence[str], kept: Collection[str] = ()
) -> tuple[pa.Schema, list[dict[str, pa.Scalar]]]:
    """Keys that all files have, as columns: their types, and each file's values.

    Whole numbers are int64, other numbers float64, and the rest is text; so is a ``kept`` key,
    unless its numbers are written out just as the directories have them.
    """
    known = [partition_keys(path) for path in paths]
    shared = [key for key in known[0] if all(key in own for own in known)]
    types = {key: _type([own[key] for own in known], exact=key in kept) for key in shared}
    values = [{key: _scalar(own[key], types[key]) for key in shared} for own in known]
    return pa.schema(types), values


def with_constants(batch: pa.RecordBatch, values: Mapping[str, pa.Scalar]) -> pa.RecordBatch:
    """The batch with one more column for each value, constant over the rows."""
    for name, value in values.items():
        batch = batch.append_column(name, pa.repeat(value, batch.num_rows))
    return batch


def _type(values: Sequence[str | None], *, exact: bool) -> pa.DataType:
    known = [value for value in values if value is not None]
    if not known or not all(map(_NUMBER.fullmatch, known)):
        return pa.string()
    whole = all(re.fullmatch(r"[+-]?\d{1,18}", value) for value in known)
    kind: type[int | float] = int if whole else float
    if exact and any(str(kind(value)) != value for value in known):
        return pa.string()
    return pa.int64() if whole else pa.float64()


def _scalar(value: str | None, kind: pa.DataType) -> pa.Scalar:
    if value is None:
        return pa.scalar(None, kind)
    if kind == pa.string():
        return pa.scalar(value)
    return pa.scalar(int(value) if kind == pa.int64() else float(value), kind)
