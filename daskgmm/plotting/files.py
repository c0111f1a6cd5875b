"""`save`: one figure of all panels as a PNG, SVG or PDF file."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daskgmm.errors import ConfigurationError, OutputError
from daskgmm.plotting.course import convergence
from daskgmm.plotting.figure import new_figure
from daskgmm.plotting.merging import merging
from daskgmm.plotting.mixture import scatter
from daskgmm.plotting.selection import selection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")


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
    rows, columns
        As in `scatter`.
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
    ratios = (3, 2) if chosen is None else (3, 2, 2)
    figure = new_figure(width=2.5 * sum(ratios))
    left, right, *further = figure.subplots(1, len(ratios), width_ratios=ratios)
    scatter(model, rows, columns=(0, 1) if columns is None else columns, ax=left)
    if hasattr(model, "clusters_"):
        merging(model, ax=right)
    else:
        convergence(model, ax=right)
    if chosen is not None:
        selection(chosen["candidates"], chosen["criterion"], ax=further[0])
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
