"""Numbers of a fit, for people."""

from daskgmm.monitoring.observer import Ending, Pass, Reason

_HOW = {
    Reason.CONVERGED: "Converged",
    Reason.MAX_ITER: "Not converged",
    Reason.FAILED: "Failed",
    Reason.INTERRUPTED: "Interrupted",
}


def count(number: float) -> str:
    """A number of things, to three digits."""
    for unit in ("", "k", "M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def clock(seconds: float) -> str:
    """A time as minutes and seconds, and hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def outcome(made: Pass | None, ending: Ending) -> str:
    """How a fit ended."""
    text = f"{_HOW[ending.reason]} after {clock(ending.seconds)}"
    if made is not None:
        state = made.state
        passes = f"{state.iteration} pass{'es' * (state.iteration != 1)}"
        text += f" and {passes}: lower bound {state.best.lower_bound:.6f} nats a row"
    return text if ending.message is None else f"{text}. {ending.message}"
