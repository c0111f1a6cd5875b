"""The panel of the mixture's parameters after the latest pass."""

from bokeh.models import Div

from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.page.panels.base import sheet
from daskgmm.monitoring.page.panels.weights import colour, fading
from daskgmm.monitoring.page.view import PageView
from daskgmm.monitoring.text import html, number

_CSS = """
.scroll { overflow-x: auto; max-height: 420px; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 8px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; position: sticky; top: 0; background: var(--card); }
th:first-child, td:first-child { text-align: left; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 2px;
  margin-right: 6px; }
"""


class Parameters:
    """A table with a row a component: weight, and mean ± deviation in the first columns."""

    def __init__(self) -> None:
        self.root = Div(name="parameters", sizing_mode="stretch_width", stylesheets=sheet(_CSS))

    def show(self, view: PageView) -> None:
        """Show the parameters of the latest pass."""
        if view.run is None or not view.run.latest.get("weights"):
            self.root.text = '<p class="faint">Known after the first pass.</p>'
            return
        self.root.text = _table(view.run)


def _table(run: FitHistory) -> str:
    latest = run.latest
    means, weights = latest.get("means", ()), latest["weights"]
    heads = "".join(f"<th>{html(name)}</th>" for name in _columns(run))
    dying, empty = set(fading(tuple(weights))), set(latest.get("empty", ()))
    rows = "".join(
        _row(
            index,
            len(weights),
            _weight(weights[index], index in dying, index in empty),
            means[index],
            deviations,
        )
        for index, deviations in enumerate(latest.get("deviations", ()))
    )
    note = _note(run, len(means))
    return (
        f'<div class="scroll"><table><tr><th>component</th><th>weight</th>{heads}</tr>'
        f"{rows}</table></div>{note}"
    )


def _row(
    index: int,
    components: int,
    weight: str,
    means: list[float],
    deviations: list[float],
) -> str:
    cells = "".join(
        f'<td>{number(mean)} <span class="faint">± {number(deviation, 3)}</span></td>'
        for mean, deviation in zip(means, deviations, strict=True)
    )
    swatch = f'<span class="swatch" style="background:{colour(index, components)}"></span>'
    return f"<tr><td>{swatch}{index}</td>{weight}{cells}</tr>"


def _weight(weight: float, dying: bool, empty: bool) -> str:
    """Cell of a weight; of a component without rows it says so."""
    if empty:
        return f'<td class="faint">{number(weight)}, empty</td>'
    mark = ' class="bad"' if dying else ""
    return f"<td{mark}>{number(weight)}</td>"


def _columns(run: FitHistory) -> list[str]:
    means = run.latest.get("means") or [[]]
    names = run.about.get("columns") or []
    return [names[at] if at < len(names) else f"x{at}" for at in range(len(means[0]))]


def _note(run: FitHistory, shown: int) -> str:
    components = len(run.latest["weights"])
    columns, features = len(_columns(run)), run.about.get("n_features") or 0
    left = []
    empty = run.latest.get("empty", ())
    rows = f'<p class="faint">{components - len(empty)} of {components} components hold rows.</p>'
    if components > shown:
        left.append(f"{components - shown} more components")
    if features > columns:
        left.append(f"{features - columns} more columns")
    hidden = f'<p class="faint">Not shown: {", ".join(left)}.</p>' if left else ""
    return (rows if empty else "") + hidden
