"""Which events are a fit's: anybody may log anything under the same topic."""

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from daskgmm.monitoring.messages import (
    END,
    MOST_COLUMNS,
    MOST_COMPONENTS,
    MOST_WEIGHTS,
    PASS,
    START,
)
from daskgmm.monitoring.observer import Reason

_MOST = 1e100
"""Of any number: those that are shown are squared and added up."""

_LATEST = 1e11
"""Of a time (seconds since 1970), so that calendars have it."""

_LONGEST_WORD = 200
_LONGEST_TEXT = 10_000
_MOST_KINDS = 10_000

Check: TypeAlias = Callable[[Any], bool]


def is_ours(event: Any) -> bool:
    """Whether this is an event of a fit, as `messages` makes them.

    What it has under their names is what may be there, so that it can be shown; fits of other
    versions may leave some out, or tell more.
    """
    if not isinstance(event, dict) or event.get("event") not in (START, PASS, END):
        return False
    required = ("run_id", *_REQUIRED[event["event"]])
    if not all(name in event and _FIELDS[name](event[name]) for name in required):
        return False
    known = (check(event[name]) for name, check in _FIELDS.items() if name in event)
    return all(known) and _even(event) and _is_json(event)


def _is_json(event: Mapping[str, Any]) -> bool:
    try:
        json.dumps(event, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _even(event: Mapping[str, Any]) -> bool:
    """Whether the parameters that are told are of the same components and columns."""
    means, deviations = event.get("means", []), event.get("deviations", [])
    lengths = {len(row) for row in (*means, *deviations)}
    return len(means) == len(deviations) <= len(event.get("weights", [])) and len(lengths) <= 1


def _number(value: Any, least: float = -_MOST, most: float = _MOST) -> bool:
    if type(value) not in (int, float):  # a bool is none
        return False
    return least <= value <= most and math.isfinite(value)


def _whole(value: Any, least: int = 0, most: float = 1e18) -> bool:
    return type(value) is int and least <= value <= most


def _word(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST_WORD


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def _list(value: Any, each: Check, most: int) -> bool:
    return isinstance(value, list | tuple) and len(value) <= most and all(map(each, value))


def _or_none(value: Any, check: Check) -> bool:
    return value is None or check(value)


def _list_of(each: Check, most: int) -> Check:
    return partial(_list, each=each, most=most)


def _optional(check: Check) -> Check:
    return partial(_or_none, check=check)


_positive: Check = partial(_number, least=0.0)
_seconds: Check = partial(_number, least=0.0, most=1e12)
_rows_of_numbers = _list_of(_list_of(_number, MOST_COLUMNS), MOST_COMPONENTS)

_FIELDS: dict[str, Check] = {
    "run_id": _word,
    "client": _optional(_word),
    "time": partial(_number, least=0.0, most=_LATEST),
    "tol": _optional(_positive),
    "stopping": _optional(_word),
    "acceleration": _optional(_word),
    "max_iter": _optional(_whole),
    "n_init": _optional(_whole),
    "estimator": _word,
    "n_components": _list_of(partial(_whole, least=1), _MOST_KINDS),
    "covariance_type": _list_of(_word, _MOST_KINDS),
    "rows": _optional(_whole),
    "n_features": _whole,
    "columns": _optional(_list_of(_text, MOST_COLUMNS)),
    "parts": _whole,
    "host": _word,
    "pid": _whole,
    "iteration": _whole,
    "passes": _whole,
    "lower_bound": _optional(_number),
    "change": _optional(_number),
    "seconds": _seconds,
    "bytes_read": _whole,
    "starts": partial(_whole, least=1),
    "starts_going": _whole,
    "weights": _list_of(_positive, MOST_WEIGHTS),
    "means": _rows_of_numbers,
    "deviations": _rows_of_numbers,
    "stopped": tuple(reason.value for reason in Reason).__contains__,
    "message": _optional(_text),
    "error": _optional(_word),
}
_REQUIRED = {START: (), PASS: ("iteration",), END: ("stopped",)}
