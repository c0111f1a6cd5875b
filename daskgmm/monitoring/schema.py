"""The events of a fit: their names, their fields, and which values a field may have.

`messages` writes the fields declared here, and `is_ours` accepts no others as a fit's event:
anyone may log anything under the same topic.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from daskgmm.model.scoring import CRITERIA
from daskgmm.monitoring.candidates import MOST_SHOWN
from daskgmm.monitoring.observer import Reason

START, STARTS, PASS, END = "fit-start", "starts", "pass", "fit-end"

MOST_WEIGHTS = 100
"""Components whose weights are in an event."""

MOST_COMPONENTS, MOST_COLUMNS = 30, 6
"""Components whose means and deviations are in an event, and columns of these."""

_LARGEST_NUMBER = 1e100
"""Numbers are squared and added up to be shown."""

_LATEST_TIME = 1e11
"""Seconds since 1970; calendars have no later ones."""

_LONGEST_WORD = 200
_LONGEST_TEXT = 10_000
_MOST_CANDIDATES = 10_000

Check: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True)
class Field:
    """A field of events; it means the same in each.

    Parameters
    ----------
    check : callable
        Whether a value may be there.
    events : tuple of str
        The events that have it.
    required : tuple of str
        Those that are ignored without it: other versions of the library may leave out others.
    """

    check: Check
    events: tuple[str, ...]
    required: tuple[str, ...] = ()


def _number(value: Any, least: float = -_LARGEST_NUMBER, most: float = _LARGEST_NUMBER) -> bool:
    if type(value) not in (int, float):  # bool is a subclass of int
        return False
    return least <= value <= most and math.isfinite(value)


def _whole(value: Any, least: int = 0, most: float = 1e18) -> bool:
    return type(value) is int and least <= value <= most


def _boolean(value: Any) -> bool:
    return type(value) is bool


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


def _candidate(value: Any) -> bool:
    """Whether this is a number of components, a covariance type, a criterion, and if it runs."""
    checks = (_at_least_one, _word, _optional(_number), _boolean)
    if not isinstance(value, list | tuple) or len(value) != len(checks):
        return False
    return all(check(each) for check, each in zip(checks, value, strict=True))


_positive: Check = partial(_number, least=0.0)
_share: Check = partial(_number, least=0.0, most=1.0)
_at_least_one: Check = partial(_whole, least=1)
_table = _list_of(_list_of(_number, MOST_COLUMNS), MOST_COMPONENTS)
_REASONS = tuple(reason.value for reason in Reason)

EVENTS = (START, STARTS, PASS, END)
_COURSE = (START, PASS)
_RESULT = (PASS, END)

FIELDS: dict[str, Field] = {
    "event": Field(EVENTS.__contains__, EVENTS, EVENTS),
    "run_id": Field(_word, EVENTS, EVENTS),
    "time": Field(partial(_number, least=0.0, most=_LATEST_TIME), EVENTS),
    "client": Field(_optional(_word), EVENTS),
    "tol": Field(_optional(_positive), _COURSE),
    "stopping": Field(_optional(_word), _COURSE),
    "acceleration": Field(_optional(_word), _COURSE),
    "max_iter": Field(_optional(_whole), _COURSE),
    "n_init": Field(_optional(_whole), _COURSE),
    "rows": Field(_optional(_whole), (START, STARTS, PASS)),
    "estimator": Field(_word, (START,)),
    "n_components": Field(_list_of(_at_least_one, _MOST_CANDIDATES), (START,)),
    "covariance_type": Field(_list_of(_word, _MOST_CANDIDATES), (START,)),
    "n_features": Field(_whole, (START,)),
    "columns": Field(_optional(_list_of(_text, MOST_COLUMNS)), (START,)),
    "parts": Field(_whole, (START,)),
    "host": Field(_word, (START,)),
    "pid": Field(_whole, (START,)),
    "phase": Field(_word, (STARTS,), (STARTS,)),
    "done": Field(_whole, (STARTS,), (STARTS,)),
    "of": Field(_at_least_one, (STARTS,), (STARTS,)),
    "share": Field(_share, (STARTS,)),
    "seconds_left": Field(_optional(_positive), (STARTS,)),
    "candidate": Field(_whole, (STARTS,)),
    "iteration": Field(_whole, _RESULT, (PASS,)),
    "lower_bound": Field(_optional(_number), _RESULT),
    "seconds": Field(partial(_number, least=0.0, most=1e12), _RESULT),
    "passes": Field(_whole, (PASS,)),
    "change": Field(_optional(_number), (PASS,)),
    "bytes_read": Field(_whole, (PASS,)),
    "starts": Field(_at_least_one, (PASS,)),
    "moves_tried": Field(_optional(_whole), (STARTS, PASS)),
    "moves_taken": Field(_optional(_whole), (STARTS, PASS)),
    "budget_ended": Field(_optional(_boolean), (PASS,)),
    "starts_going": Field(_whole, (PASS,)),
    "criterion": Field(_optional(CRITERIA.__contains__), (PASS,)),
    "candidates": Field(_optional(_list_of(_candidate, MOST_SHOWN)), (PASS,)),
    "weights": Field(_list_of(_positive, MOST_WEIGHTS), (PASS,)),
    "empty": Field(_list_of(_whole, MOST_WEIGHTS), (PASS,)),
    "means": Field(_table, (PASS,)),
    "deviations": Field(_table, (PASS,)),
    "stopped": Field(_REASONS.__contains__, (END,), (END,)),
    "message": Field(_optional(_text), (END,)),
    "error": Field(_optional(_word), (END,)),
}


def fields_of(event: str) -> tuple[str, ...]:
    """Names of the fields of an event."""
    return tuple(name for name, field in FIELDS.items() if event in field.events)


def is_ours(event: Any) -> bool:
    """Whether this is an event of a fit, with values that can be shown.

    Fits of other versions may leave out fields that are not required, or have more.
    """
    if not isinstance(event, dict) or event.get("event") not in EVENTS:
        return False
    required = (name for name, field in FIELDS.items() if event["event"] in field.required)
    if not all(name in event for name in required):
        return False
    known = (field.check(event[name]) for name, field in FIELDS.items() if name in event)
    return all(known) and (event["event"] != PASS or _same_shapes(event)) and _is_json(event)


def _is_json(event: Mapping[str, Any]) -> bool:
    try:
        json.dumps(event, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _same_shapes(event: Mapping[str, Any]) -> bool:
    """Whether means and deviations are those of the same components and columns."""
    means, deviations = event.get("means", []), event.get("deviations", [])
    lengths = {len(row) for row in (*means, *deviations)}
    return len(means) == len(deviations) <= len(event.get("weights", [])) and len(lengths) <= 1
