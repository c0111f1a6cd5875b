"""Reading of JSON that may be damaged or hostile."""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn, get_args

DEEPEST = 50
"""Most levels of nested maps and lists; our own files have fewer."""
_MOST_DIGITS = 300
"""Most digits of a whole number; one with more would not fit into a double."""


def from_json(text: str | bytes, *, infinite: bool = False) -> Any:
    """The value of a JSON text.

    Parameters
    ----------
    text : str or bytes
    infinite : bool
        Take ``Infinity`` and ``NaN``, which are not JSON, for numbers.

    Raises
    ------
    ValueError
        It is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        value = json.loads(
            text,
            parse_constant=None if infinite else _refuse,
            parse_float=None if infinite else _finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise _too_deep() from None
    require_shallow(value)
    return value


def require_shallow(value: Any) -> None:
    """Raise ValueError for lists and maps that are nested more than `DEEPEST` levels deep."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise _too_deep()


def require_form(value: Any, form: Any, name: str = "") -> None:
    """Raise ValueError unless a JSON value has some form; the error names the key and the cause.

    Parameters
    ----------
    value : object
    form : type, union of types, list or mapping
        A list of one form stands for lists of any length; a mapping for maps with its keys and
        perhaps more, of which those that end with a question mark may be missing.
    name : str
        Name of the value in errors.

    Examples
    --------
    >>> require_form({"rows": 3, "names": ["a"]}, {"rows": int, "names": [str], "note?": str})
    >>> require_form({"rows": "3"}, {"rows": int})
    Traceback (most recent call last):
        ...
    ValueError: 'rows' is a text
    """
    kind = type(form) if isinstance(form, dict | list) else form
    if not isinstance(value, kind) or (isinstance(value, bool) and not _takes_bool(form)):
        raise ValueError(f"{repr(name) if name else 'it'} is {_in_words(value)}")
    if isinstance(form, dict):
        for key, inner in form.items():
            plain = key.rstrip("?")
            path = f"{name}.{plain}".lstrip(".")
            if plain in value:
                require_form(value[plain], inner, path)
            elif plain == key:
                raise ValueError(f"{path!r} is missing")
    elif isinstance(form, list):
        for one in value:
            require_form(one, form[0], name)


def _takes_bool(form: Any) -> bool:
    return bool in (form, *get_args(form))


def _in_words(value: Any) -> str:
    """The kind of a JSON value, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = ((str, "a text"), (int | float, "a number"), (list, "a list"), (Mapping, "a map"))
    return next(words for kind, words in kinds if isinstance(value, kind))


def _inside(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def _too_deep() -> ValueError:
    return ValueError(f"brackets are nested more than {DEEPEST} deep")
