"""Numbers and times on terminals and in notebooks."""


def count(number: float) -> str:
    """A number of things, to three digits."""
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def clock(seconds: float) -> str:
    """A time as minutes and seconds, after hours if there are any."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
