"""`nights`: lower bound, weights and drift of the runs of many nights."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from daskgmm.errors import ConfigurationError, InputTypeError
from daskgmm.plotting.figure import INK, LINE_STYLES, MAX_LEGEND, PALETTE, new_figure, write_in_full

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW = 60
"""Most nights that have a marker each."""


class DrawnNight(Protocol):
    """A night's model, as `daskgmm.jobs.history.nights.Night` describes it."""

    @property
    def when(self) -> datetime: ...  # noqa: D102  as there
    @property
    def lower_bound(self) -> float | None: ...  # noqa: D102
    @property
    def weights(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def chain(self) -> int: ...  # noqa: D102
    @property
    def shift(self) -> float | None: ...  # noqa: D102
    @property
    def reordered(self) -> bool: ...  # noqa: D102
    @property
    def difference(self) -> float | None: ...  # noqa: D102


def nights(history: Sequence[DrawnNight]) -> "Figure":
    """Draw the lower bound, the weights and the drift of one model a night.

    Components are followed from night to night; a dotted line marks a night in which they have
    other numbers than before. The drift is the largest shift of a component's mean from the night
    before, and for updates also the difference between the log-likelihood of the new rows and the
    bound before.

    Parameters
    ----------
    history : sequence of DrawnNight
        The oldest first.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ConfigurationError
        There are no nights, or matplotlib is not installed.
    InputTypeError
        It is no sequence.
    """
    if not isinstance(history, Sequence):
        raise InputTypeError(
            f"{history!r:.100} is not a sequence of nights.",
            "Give a list of them; `daskgmm runs FOLDER --plot FILE.png` draws a folder's.",
        )
    if not history:
        raise ConfigurationError(
            "There are no nights to draw.", "Name a folder with complete runs."
        )
    panels = [_bounds, _weights, _shifts]
    if any(night.difference is not None for night in history):
        panels.append(_differences)
    figure = new_figure(9, 2.2 * len(panels) + 0.6)
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for draw, ax in zip(panels, axes, strict=True):
        draw(ax, history)
    axes[0].set_title(f"{len(history)} nights" if len(history) > 1 else "1 night")
    _label_dates(axes[-1])
    figure.align_ylabels()
    return figure


def _bounds(ax: "Axes", history: Sequence[DrawnNight]) -> None:
    _draw(ax, history, lambda night: night.lower_bound, PALETTE[0])
    ax.set_ylabel("Lower bound\n(nats a row)")
    write_in_full(ax.yaxis)


def _weights(ax: "Axes", history: Sequence[DrawnNight]) -> None:
    most = max(len(night.weights) for night in history)
    for chain in _chains(history):
        when = _dates(chain)
        for k, weights in enumerate(zip(*(night.weights for night in chain), strict=True)):
            style = LINE_STYLES[k // len(PALETTE) % len(LINE_STYLES)]
            label = str(k) if chain[0] is history[0] else None
            ax.plot(
                when, weights, color=PALETTE[k % len(PALETTE)], linestyle=style, label=label,
                marker=_marker(history), markersize=3,
            )  # fmt: skip
    label = "renumbered"
    for night in history:
        if night.reordered:
            ax.axvline(_dates([night])[0], color=INK, linestyle="dotted", linewidth=1, label=label)
            label = "_"  # one entry in the legend is enough
    ax.set_ylim(bottom=0)
    ax.set_ylabel("Weights")
    if most <= MAX_LEGEND:
        ax.legend(title="Component", loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _shifts(ax: "Axes", history: Sequence[DrawnNight]) -> None:
    _draw(ax, history, lambda night: night.shift, PALETTE[6])
    ax.set_ylim(bottom=0)
    ax.set_ylabel("Largest shift of a mean\n(its standard deviations)")


def _differences(ax: "Axes", history: Sequence[DrawnNight]) -> None:
    _draw(ax, history, lambda night: night.difference, PALETTE[4])
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set_ylabel("New rows less old bound\n(nats a row)")


def _draw(
    ax: "Axes",
    history: Sequence[DrawnNight],
    value_of: Callable[[DrawnNight], float | None],
    colour: str,
) -> None:
    values = [np.nan if (value := value_of(night)) is None else value for night in history]
    ax.plot(_dates(history), values, color=colour, marker=_marker(history), markersize=4)


def _dates(history: Sequence[DrawnNight]) -> list[float]:
    """Times as matplotlib counts them, in days."""
    from matplotlib.dates import date2num

    return [float(date2num(night.when)) for night in history]


def _marker(history: Sequence[Any]) -> str | None:
    return "o" if len(history) <= _FEW else None


def _chains(history: Sequence[DrawnNight]) -> Iterator[list[DrawnNight]]:
    """Nights whose models have the same columns and number of components."""
    return (list(chain) for _, chain in groupby(history, key=lambda night: night.chain))


def _label_dates(ax: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.set_xlabel("Night (UTC)")
