"""HTML of estimators in notebooks: scikit-learn's, and a figure of each pass's lower bound."""

import math
from collections.abc import Sequence
from typing import Any

from sklearn.base import BaseEstimator

from daskgmm.fitting.fitted import bound_a_row
from daskgmm.fitting.protocols import FittedMixture
from daskgmm.monitoring.phrases import ended

_WIDTH, _HEIGHT, _MARGIN = 320, 80, 6

_FIGURE = """\
<figure style="margin: 4px 0; display: inline-block; font: 12px sans-serif">
<figcaption>{caption}</figcaption>
<svg role="img" aria-label="Lower bound of each pass" width="{width}" height="{height}"
 viewBox="0 0 {width} {height}" fill="none" stroke="currentColor">
<line x1="0" y1="{floor}" x2="{width}" y2="{floor}" stroke-opacity="0.3"/>
<polyline points="{points}" stroke="#0072b2" stroke-width="2"/>
{dots}
</svg>
</figure>"""

_DOT = '<circle cx="{}" cy="{}" r="2.5" fill="#0072b2" stroke="none"/>'
_MOST_DOTS = 40


class NotebookRepr(BaseEstimator):
    """Estimator whose HTML in notebooks, once it is fitted, shows the course of the fit."""

    def _html_repr(self) -> str:
        """HTML that notebooks show: scikit-learn's own, and the course of the fit."""
        shown: str = super()._html_repr()
        best: Any = getattr(self, "best_estimator_", self)
        bounds = getattr(best, "lower_bounds_", ())
        return shown + lower_bound_figure(best) if len(bounds) else shown


def lower_bound_figure(model: FittedMixture) -> str:
    """Small figure (HTML) of the lower bound of each pass of a fitted mixture."""
    bounds = [float(bound) for bound in model.lower_bounds_]
    count = len(bounds)
    state = "converged" if model.converged_ else "max_iter"
    points = _points(bounds)
    dots = points if count <= _MOST_DOTS else points[-1:]
    return _FIGURE.format(
        caption=ended(state, count, bound=bound_a_row(model)),
        width=_WIDTH,
        height=_HEIGHT,
        floor=_HEIGHT - 1,
        points=" ".join(f"{x},{y}" for x, y in points),
        dots="".join(_DOT.format(x, y) for x, y in dots),
    )


def _points(values: Sequence[float]) -> list[tuple[float, float]]:
    """Coordinates (pixels) of the finite values in the figure."""
    finite = [(place, value) for place, value in enumerate(values) if math.isfinite(value)]
    least, most = min(v for _, v in finite), max(v for _, v in finite)
    across = (_WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)
    up = (_HEIGHT - 2 * _MARGIN) / (most - least) if most > least else 0.0
    return [
        (round(_MARGIN + across * place, 1), round(_HEIGHT - _MARGIN - up * (value - least), 1))
        for place, value in finite
    ]
