"""Unpacking of stored numbers by netCDF's attributes, a convention that many files follow.

Numbers may be stored scaled (``scale_factor``, ``add_offset``, ``_Unsigned``), and some values
mark missing ones (``_FillValue``, ``missing_value``, ``valid_min``, ``valid_max``,
``valid_range``).
"""

import struct
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import DataError

NAMES = (
    "_FillValue", "missing_value", "valid_min", "valid_max", "valid_range",
    "scale_factor", "add_offset", "_Unsigned",
)  # fmt: skip

_SINGLE = np.dtype(np.float32)


@dataclass(frozen=True)
class Packing:
    """How stored numbers are read; missing ones become NaN.

    Parameters
    ----------
    missing : tuple of number
        Stored numbers that mark missing values.
    lowest, highest : float
        Numbers outside of this range are missing as well.
    scaled_range : bool
        Whether the range is of numbers as they are read, not as they are stored.
    scale, offset : float
        Factor and summand: values are stored numbers times scale plus offset.
    unsigned : bool
        Whether stored integers are unsigned, even if their type is signed.
    """

    missing: tuple[int | float, ...] = ()
    lowest: float = -np.inf
    highest: float = np.inf
    scaled_range: bool = False
    scale: float = 1.0
    offset: float = 0.0
    unsigned: bool = False

    def read_as(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """The type that numbers of a stored type are read as."""
        plain = (self.scale, self.offset) == (1.0, 0.0)
        if self == Packing() or (plain and stored.newbyteorder("=") == _SINGLE):
            return stored
        return np.dtype(np.float64)

    def unpacked(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Stored numbers as values, NaN where missing."""
        if self == Packing():
            return stored
        kind = self.read_as(stored.dtype)
        if self.unsigned:
            stored = stored.view(f"{stored.dtype.byteorder}u{stored.dtype.itemsize}")
        values = stored.astype(kind)
        if (self.scale, self.offset) != (1.0, 0.0):
            values = values * self.scale + self.offset
        bounded = values if self.scaled_range else stored
        absent = (bounded < self.lowest) | (bounded > self.highest)
        for number in self.missing:
            absent |= stored == number
        if absent.any():
            values[absent] = np.nan
        return values


def packing_of(
    path: str, stored: np.dtype[Any], attributes: Mapping[str, Any], fill: Sequence[Any] = ()
) -> Packing:
    """The packing of an array by its attributes.

    Parameters
    ----------
    path : str
        The array, for errors.
    stored : dtype
        Type of the array's stored numbers.
    attributes : mapping
    fill : sequence
        Fill values that are kept elsewhere than in attributes.

    Raises
    ------
    DataError
        An attribute breaks the conventions.
    """
    given = {name: attributes[name] for name in NAMES if name in attributes}
    unsigned = stored.kind == "i" and str(_plain(given.get("_Unsigned"))).lower() == "true"
    bits = 8 * stored.itemsize

    def as_stored(number: float) -> int | float:
        return number + 2**bits if unsigned and number < 0 else number

    marks = [as_stored(number) for number in fill]
    for name in ("_FillValue", "missing_value"):
        marks += [as_stored(number) for number in _numbers(given.get(name))]
    limits = {
        name: [_required(path, name, number) for number in _listed(given[name])]
        for name in ("valid_min", "valid_max", "valid_range")
        if name in given
    }
    for name, numbers in limits.items():
        if len(numbers) != (2 if name == "valid_range" else 1):
            raise _odd(path, name, given[name])
    low, high = limits.get("valid_range", (-np.inf, np.inf))
    low, high = *limits.get("valid_min", [low]), *limits.get("valid_max", [high])
    scale, offset = (
        _single(path, name, given.get(name, default))
        for name, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    bounds = [number for numbers in limits.values() for number in numbers]
    scaled = stored.kind in "iu" and any(isinstance(number, float) for number in bounds)
    if not scaled:
        low, high = as_stored(low), as_stored(high)
    exact = tuple(dict.fromkeys(found for mark in marks for found in _in_type(mark, stored)))
    return Packing(exact, low, high, scaled, float(scale), float(offset), unsigned)


def _in_type(number: float, stored: np.dtype[Any]) -> list[int | float]:
    """A number as the stored type has it; none where it has no such number."""
    if stored.kind == "f":
        with np.errstate(over="ignore"):
            found = stored.type(number)
        return [] if np.isnan(found) else [found.item()]
    whole = np.isfinite(number) and number == int(number)
    return [int(number)] if whole else []


def _single(path: str, name: str, value: Any) -> int | float:
    numbers = [_required(path, name, number) for number in _listed(value)]
    if len(numbers) != 1 or not np.isfinite(numbers[0]):
        raise _odd(path, name, value)
    return numbers[0]


def _required(path: str, name: str, value: Any) -> int | float:
    numbers = _numbers(value)
    if len(numbers) != 1:
        raise _odd(path, name, value)
    return numbers[0]


def _odd(path: str, name: str, value: Any) -> DataError:
    return DataError(
        f"The attribute {name} of {path} is {_plain(value)!r}, which netCDF does not allow.",
        "Correct or remove the attribute, or write the numbers without it.",
    )


def _numbers(value: Any) -> list[int | float]:
    """The numbers of an attribute; texts without a number are left out: no number equals them."""
    found: list[int | float] = []
    for each in _listed(value):
        if isinstance(each, str):
            found += _of_text(each)
        elif isinstance(each, int | float):
            found.append(each)
    return found


def _of_text(text: str) -> list[float]:
    try:
        return [float(text)]
    except ValueError:
        pass
    try:  # as xarray writes numbers into the metadata of Zarr's third version
        return list(struct.unpack("<d", b64decode(text, validate=True)))
    except (ValueError, struct.error):
        return []


def _listed(value: Any) -> list[Any]:
    plain = _plain(value)
    if plain is None:
        return []
    return plain if isinstance(plain, list) else [plain]


def _plain(value: Any) -> Any:
    """A value in Python's own types, with bytes as text."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value
