"""`overlay`: a mixture's components laid over those of another one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import ConfigurationError
from daskgmm.plotting.columns import column_names, column_positions
from daskgmm.plotting.density import Component, components_of, draw_densities, draw_ellipses
from daskgmm.plotting.figure import INK, MAX_LEGEND, new_axes, new_figure
from daskgmm.plotting.mixture import label_axes, mixture_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BENEATH: dict[str, Any] = {"linestyle": "dashed", "linewidth": 1.1, "color": INK, "alpha": 0.65}
"""Style of the reference's lines."""


def overlay(
    model: Any,
    reference: Any,
    *,
    columns: Sequence[int | str] | None = None,
    names: tuple[str, str] = ("model", "reference"),
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the components of a mixture over those of another one, in two columns or one.

    Components of the same number K are matched (least total Bhattacharyya distance): each has the
    number that its like has in the reference, an arrow leads from there to its mean, and the
    legend has both weights. Those of the reference are dashed. In two columns a component is two
    ellipses, one and two standard deviations about its mean; in one its weighted density.

    Parameters
    ----------
    model, reference : fitted mixture, merged mixture or selector
        With the same columns, in any order where both have names.
    columns : sequence of one or two int or str, optional
        The columns to show, by position in `model` or name; by default the two in which the
        components moved most, measured in their standard deviations in the reference.
    names : tuple of two str
        Names of the model and of the reference in the title.
    ax : matplotlib Axes, optional
        Axes to draw on, a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ConfigurationError
        The mixtures have other columns, a column is not known, or matplotlib is not installed.
    """
    model, reference = _components_of(model), _components_of(reference)
    there = _positions_there(model, reference)
    count = len(model.weights_)
    order = model.match(reference) if count == len(reference.weights_) else None
    if columns is None:
        columns = _moved_most(model, reference, there, order)
    positions = column_positions(model, columns, most=2)
    before = components_of(reference, [int(there[position]) for position in positions])
    after = components_of(model, positions)
    if order is not None:
        after = [
            replace(
                after[k], number=j, group=j, entry=f"{j} ({before[j].weight:.1%} → {share:.1%})"
            )
            for j, (k, share) in enumerate((k, after[k].weight) for k in order)
        ]
    ax = new_axes() if ax is None else ax
    if len(positions) == 2:
        _draw_beneath(ax, before)
        draw_ellipses(ax, after)
        if order is not None:
            _draw_arrows(ax, before, after)
    else:
        _draw_densities_beneath(ax, before)
        draw_densities(ax, after)
    shown = [column_names(model)[position] for position in positions]
    label_axes(ax, *shown, title="Component" if count <= MAX_LEGEND else None)
    ax.set_title(f"{names[0]} over {names[1]} (dashed)", parse_math=False)
    return ax


def overlays(
    models: Sequence[Any], names: Sequence[str], columns: Sequence[int | str] | None = None
) -> "Figure":
    """Draw each of several mixtures over the first, side by side; see `overlay`."""
    figure = new_figure(7.5 * (len(models) - 1))
    axes = figure.subplots(1, len(models) - 1, squeeze=False)[0]
    for ax, model, name in zip(axes, models[1:], names[1:], strict=True):
        overlay(model, models[0], columns=columns, names=(name, names[0]), ax=ax)
    return figure


def _components_of(model: Any) -> Any:
    """The mixture of components of a selector, a merged mixture or a mixture."""
    model = mixture_of(model)
    model = getattr(model, "mixture_", model)
    check_is_fitted(model, "means_")
    return model


def _positions_there(model: Any, reference: Any) -> NDArray[np.int64]:
    """Position of each of the model's columns in the reference, by name where both have names."""
    if model.n_features_in_ != reference.n_features_in_:
        raise ConfigurationError(
            f"The models have {model.n_features_in_} and {reference.n_features_in_} columns.",
            "Compare models of the same columns.",
        )
    if not (hasattr(model, "feature_names_in_") and hasattr(reference, "feature_names_in_")):
        return np.arange(model.n_features_in_)
    own, others = column_names(model), column_names(reference)
    if unknown := [name for name in own if name not in others]:
        raise ConfigurationError(
            f"Only one of the models has the column {unknown[0]!r}.",
            "Compare models of the same columns.",
        )
    return np.array([others.index(name) for name in own])


def _moved_most(
    model: Any, reference: Any, there: NDArray[np.int64], order: NDArray[np.int64] | None
) -> tuple[int, ...]:
    """The two columns in which the components moved most, or the first two."""
    count = model.n_features_in_
    if order is None or count <= 2:
        return tuple(range(min(count, 2)))
    before = [components_of(reference, [int(position)]) for position in there]
    deviations = np.array([[float(one.deviations[0]) for one in column] for column in before]).T
    moves = (model.means_[order] - reference.means_[:, there]) / deviations
    total = reference.weights_ @ moves**2
    return tuple(sorted(np.argsort(-total, kind="stable")[:2].tolist()))


def _draw_beneath(ax: "Axes", components: list[Component]) -> None:
    from matplotlib.patches import Ellipse

    for component in components:
        x, y = component.mean
        for deviations in (1, 2):
            width, height, angle = component.ellipse(deviations)
            contour = Ellipse((x, y), width, height, angle=angle, fill=False, **_BENEATH)
            ax.add_patch(contour)


def _draw_arrows(ax: "Axes", before: list[Component], after: list[Component]) -> None:
    for old, new in zip(before, after, strict=True):
        ax.annotate(
            "",
            xy=tuple(new.mean),
            xytext=tuple(old.mean),
            arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.2, "shrinkB": 4},
        )


def _draw_densities_beneath(ax: "Axes", components: list[Component]) -> None:
    steps = np.linspace(-5, 5, 201)
    for component in components:
        x = component.mean + steps * component.deviations
        ax.plot(x, component.density(x), **_BENEATH)
