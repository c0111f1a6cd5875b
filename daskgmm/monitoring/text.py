"""Numbers and durations as people read them: one form of each, on every medium.

Two forms of a duration: `time_so_far` for how long something that is still running has taken,
`duration` for all others (estimates, silences, how long a fit took).
"""

import time
from html import escape

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TWO_UNITS_BELOW = 10


def count(number: float) -> str:
    """A number of things to three digits, such as ``1.23M``."""
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def number(value: float | None, digits: int = 4) -> str:
    """A number of either sign with typographic minus signs; a dash for ``None``."""
    if value is None:
        return "–"
    mantissa, _, power = f"{value:.{digits}g}".partition("e")
    return (mantissa + (f"e{int(power)}" if power else "")).replace("-", "−")


def plural(number: int, noun: str) -> str:
    """A number with its noun: ``1 pass``, ``2 passes``."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{ending * (number != 1)}"


def capitalised(text: str) -> str:
    """A text with a capital at the beginning, its other letters as they are."""
    return text[:1].upper() + text[1:]


def time_so_far(seconds: float) -> str:
    """Minutes and seconds, after hours if there are any: ``1:05``, ``1:02:05``."""
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def duration(seconds: float) -> str:
    """About two digits with their units: ``0.2 s``, ``42 s``, ``3 min 20 s``, ``12 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, small_unit in (
        (_DAY, "days", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            return _two_units(whole, size, unit, smaller, small_unit)
    return f"{whole} s"


def _two_units(seconds: int, size: int, unit: str, smaller: int, small_unit: str) -> str:
    """A duration in two units, or in the larger one from ten of it on."""
    if seconds >= _TWO_UNITS_BELOW * size:
        return f"{round(seconds / size)} {unit}"
    large, small = divmod(round(seconds / smaller), size // smaller)
    name = "day" if unit == "days" and large == 1 else unit
    return f"{large} {name}" + (f" {small} {small_unit}" if small else "")


def time_of_day(at: float, now: float) -> str:
    """A time on the scheduler's clock, with the date where that is not today's."""
    there, today = time.localtime(at), time.localtime(now)
    day = "" if there[:3] == today[:3] else time.strftime("%Y-%m-%d ", there)
    return day + time.strftime("%H:%M:%S %Z", there)


def html(value: object) -> str:
    """A value as text that is safe inside of HTML."""
    return escape(str(value))
