"""Numbers of a fit, for people."""

from daskgmm.monitoring.observer import Ending, Pass, Reason
from daskgmm.monitoring.text import stopwatch

_HOW = {
    Reason.CONVERGED: "Converged",
    Reason.MAX_ITER: "Not converged",
    Reason.FAILED: "Failed",
    Reason.INTERRUPTED: "Interrupted",
}


def outcome(made: Pass | None, ending: Ending) -> str:
    """How a fit ended."""
    text = f"{_HOW[ending.reason]} after {stopwatch(ending.seconds)}"
    if made is not None:
        state = made.state
        passes = f"{state.iteration} pass{'es' * (state.iteration != 1)}"
        text += f" and {passes}: lower bound {state.best.lower_bound:.6f} nats a row"
    return text if ending.message is None else f"{text}. {ending.message}"
