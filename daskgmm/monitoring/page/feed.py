"""A run's passes as a Bokeh column source; browsers are sent new passes only."""

import math
from typing import Any

from bokeh.models import ColumnDataSource

from daskgmm.monitoring.history import FitHistory, Point

_NOTHING = float("nan")


def component(index: int) -> str:
    """Name of the column with a component's weights."""
    return f"component {index}"


class Feed:
    """Keeps a column source up to date with a run."""

    def __init__(self) -> None:
        self.source = ColumnDataSource(_columns((), 0))
        self._run_id: str | None = None
        self._sent: tuple[Point, ...] = ()
        self._components = 0

    def show(self, run: FitHistory | None) -> None:
        """Stream the new passes, or send all where earlier ones have been thinned or replaced."""
        run_id, points = (None, ()) if run is None else (run.run_id, run.points)
        components = max((len(point.weights) for point in points), default=0)
        sent = len(self._sent)
        if (run_id, components) != (self._run_id, self._components):
            self.source.data = _columns(points, components)
        elif points[:sent] == self._sent:
            self._stream(points[sent:])
        elif points[: sent - 1] == self._sent[:-1] and len(points) >= sent:
            # The last point sent was kept only while it was the latest: the next one replaces it.
            last = _columns(points[sent - 1 : sent], components)
            self.source.patch({name: [(sent - 1, *values)] for name, values in last.items()})
            self._stream(points[sent:])
        else:
            self.source.data = _columns(points, components)
        self._run_id, self._sent, self._components = run_id, points, components

    def _stream(self, points: tuple[Point, ...]) -> None:
        if points:
            self.source.stream(_columns(points, self._components))


def _columns(points: tuple[Point, ...], components: int) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "iteration": [point.iteration for point in points],
        "lower_bound": [_number(point.lower_bound) for point in points],
        "change": [_size(point.change) for point in points],
        "seconds": [point.seconds for point in points],
        "rows_per_second": [_number(point.rows_per_second) for point in points],
    }
    for index in range(components):
        columns[component(index)] = [_weight(point, index) for point in points]
    return columns


def _number(value: float | None) -> float:
    return _NOTHING if value is None or not math.isfinite(value) else value


def _size(value: float | None) -> float:
    """Absolute value, NaN for zero: a logarithmic axis has no zero."""
    return abs(_number(value)) or _NOTHING


def _weight(point: Point, index: int) -> float:
    return _size(point.weights[index]) if index < len(point.weights) else _NOTHING
