"""`save`: one figure of all panels as a PNG, SVG or PDF file; `write` writes any figure."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from daskgmm.errors import ConfigurationError, OutputError
from daskgmm.plotting.convergence import convergence
from daskgmm.plotting.figure import new_figure
from daskgmm.plotting.matrix import matrix
from daskgmm.plotting.merging import merging
from daskgmm.plotting.mixture import mixture_of, scatter
from daskgmm.plotting.profiles import profiles
from daskgmm.plotting.selection import selection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")

_PARALLEL = 6
"""Columns beyond which the means of all are drawn side by side as well."""


def save(
    model: Any,
    path: str | os.PathLike[str],
    rows: Any = None,
    columns: Sequence[int | str] | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> None:
    """Write one figure of all panels to a file, whole or not at all.

    Parameters
    ----------
    model : fitted mixture, merged mixture or selector
    path : path-like
        Name that ends in ``.png``, ``.svg`` or ``.pdf``.
    rows : array or frame, optional
        As in `scatter`.
    columns : sequence of int or str, optional
        One or two as in `scatter`, or up to eight as in `matrix`. By default four in which
        components lie furthest apart, and from seven features on `profiles` of all.
    chosen : mapping, optional
        The ``candidates`` of a selection and its ``criterion``, as in `selection`. By default
        those of `model`, if it is a selector.

    Raises
    ------
    ConfigurationError
        Another suffix, and as in `scatter`.
    OutputError
        The file cannot be written.
    """
    if chosen is None and hasattr(model, "results_"):
        chosen = {"candidates": model.results_, "criterion": model.criterion}
    fitted = getattr(mixture_of(model), "mixture_", mixture_of(model))
    check_is_fitted(fitted, "means_")
    asked = fitted.n_features_in_ if columns is None else len(columns)
    many = asked > 2 and not isinstance(columns, str)
    wide = columns is None and fitted.n_features_in_ > _PARALLEL
    further = 1 + (chosen is not None) + wide
    height = 8.0 if many else 5.0
    figure = new_figure(9.0 + 5.0 * further if many else 7.5 + 5.0 * further, height)
    ratios = [1.8 if many else 1.5, *[1.0] * further]
    panels: Any = figure.subfigures(1, len(ratios), width_ratios=ratios)
    left, *others = panels
    if many:
        matrix(model, rows, columns=columns, figure=left)
    else:
        scatter(model, rows, columns=columns, ax=left.subplots())
    axes = iter([other.subplots() for other in others])
    if hasattr(model, "clusters_"):
        merging(model, ax=next(axes))
    else:
        convergence(model, ax=next(axes))
    if wide:
        profiles(model, ax=next(axes))
    if chosen is not None:
        selection(chosen["candidates"], chosen["criterion"], ax=next(axes))
    write(figure, path)


def write(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Write a figure to a file, whole or not at all.

    Raises
    ------
    ConfigurationError
        The name has no known ending.
    OutputError
        The file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise ConfigurationError(
            f"The name of the figure {target.name} has no known ending.",
            f"Use one of these endings: {', '.join(FORMATS)}.",
        )
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        figure.savefig(unfinished, format=target.suffix[1:].lower(), dpi=130)
        unfinished.replace(target)
    except OSError as error:
        raise OutputError(
            f"The figure {str(target)!r} cannot be written: {error.strerror}.",
            "Give a path in a folder that exists and can be written to.",
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
