"""Numbers and times as people read them.

Numbers and times on terminals and in notebooks.
"""

import time
from html import escape

_STEPS = ((1e9, " G"), (1e6, " M"), (1e3, " k"))
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


def amount(count: float) -> str:
    """Three digits and a unit."""
    for size, unit in _STEPS:
        if abs(count) >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.3g}"


def number(value: float | None, digits: int = 4) -> str:
    """A number, a dash where there is none."""
    if value is None:
        return "–"
    mantissa, _, power = f"{value:.{digits}g}".partition("e")
    return (mantissa + (f"e{int(power)}" if power else "")).replace("-", "−")


def duration(seconds: float) -> str:
    """Rounded to what matters."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < _DAY else f"{seconds / _DAY:.1f} days"


def clock(at: float, now: float) -> str:
    """A time of the day where the scheduler is; with the date if that is another one."""
    there, today = time.localtime(at), time.localtime(now)
    day = "" if there[:3] == today[:3] else time.strftime("%Y-%m-%d ", there)
    return day + time.strftime("%H:%M:%S %Z", there)


def text(value: object) -> str:
    """Safe inside of HTML."""
    return escape(str(value))


def count(number: float) -> str:
    """A number of things, to three digits."""
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def stopwatch(seconds: float) -> str:
    """A time as minutes and seconds, after hours if there are any."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
