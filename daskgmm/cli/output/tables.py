"""Results as text: tables of components, candidates and named values."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from rich.cells import cell_len
from rich.control import strip_control_codes

if TYPE_CHECKING:
    from daskgmm.estimators.gaussian_mixture import GaussianMixture

_COLUMNS_SHOWN = 6
_COMPONENTS_SHOWN = 30
_BEST = 5
"""Candidates of a selection that its table begins with."""


def fit_summary(record: Mapping[str, Any], model: "GaussianMixture") -> str:
    """Summary of a fit: its components, its course, and the place of its run."""
    from daskgmm.fitting.stored.model_file import MODEL_FILE
    from daskgmm.fitting.stored.posteriors import components_with_rows

    result = record["result"]
    facts = {
        "rows": f"{result['rows']:,}",
        **dropped_rows(result),
        **rows_shared(components_with_rows(model), len(model.weights_)),
        "lower bound": f"{result['lower_bound']:.6f} nats a row",
        "iterations": f"{result['n_iter']} ({result['n_passes']} passes over all rows)",
        "converged": "yes" if result["converged"] else "no",
        "seed": record["seed"],
        "run": record["run"],
        "model": f"{record['run']}/{MODEL_FILE}",
    }
    names = getattr(model, "feature_names_in_", None)
    spread = deviations(model.covariances_, model.covariance_type, model.means_.shape)
    parameters = (model.weights_.tolist(), model.means_.tolist(), spread)
    sections = [components(*parameters, names), facts_table(facts)]
    if "candidates" in result:
        sections.insert(0, candidates(result))
    return "\n\n".join(sections)


def dropped_rows(result: Mapping[str, Any]) -> dict[str, str]:
    """The fact of rows that were left out, if there are any."""
    dropped = result.get("rows_dropped", 0)
    return {"rows dropped": f"{dropped:,} with missing values"} if dropped else {}


def rows_shared(holding: int | None, components: int) -> dict[str, str]:
    """Line of how many components of a variational mixture hold rows; none for other mixtures."""
    return {} if holding is None else {"holding rows": f"{holding} of {components} components"}


def candidates(selection: Mapping[str, Any]) -> str:
    """Table of the candidates of a selection: the five best, then the others in their order."""
    from daskgmm.model.scoring import CRITERIA

    criterion, found = selection["criterion"], selection["candidates"]
    known = [at for at, one in enumerate(found) if one[criterion] is not None]
    first = sorted(known, key=lambda at: (at != selection["best"], found[at][criterion]))[:_BEST]
    others = [at for at in range(len(found)) if at not in first]
    rows = [["", "K", "covariance", "start", "lower bound", "BIC", "AIC", "ICL", "iterations", ""]]
    for position in (*first, *others):
        one = found[position]
        numbers = (_number(one["lower_bound"], 6), *(_number(one[c], 2) for c in CRITERIA))
        outcome = "" if one["converged"] else "not converged"
        if one["bic"] is None:
            outcome = "collapsed"
        best = "*" if position == selection["best"] else ""
        kind = (str(one["n_components"]), one["covariance_type"], str(one["start"]))
        rows.append([best, *kind, *numbers, str(one["n_iter"]), outcome])
    chosen = f"* the least {criterion.upper()}"
    if len(found) > _BEST:
        rows.insert(1 + len(first), [""] * len(rows[0]))
        chosen += f"; the {len(first)} best come first"
    return f"{table(rows)}\n{chosen}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def components(
    weights: Sequence[float],
    means: Sequence[Sequence[float]],
    deviations: Sequence[Sequence[float]],
    names: Sequence[str] | None,
) -> str:
    """Table of components: weight, then mean and standard deviation in the first columns."""
    n_features = len(means[0])
    titles = [str(name) for name in names] if names is not None else _numbered(n_features)
    columns = min(n_features, _COLUMNS_SHOWN)
    rows = [["component", "weight", *(f"mean {title} ± sd" for title in titles[:columns])]]
    for k in range(min(len(weights), _COMPONENTS_SHOWN)):
        pairs = zip(means[k][:columns], deviations[k][:columns], strict=True)
        spreads = [f"{mean:.6g} ± {deviation:.3g}" for mean, deviation in pairs]
        rows.append([str(k), f"{weights[k]:.4f}", *spreads])
    shown = _fitting(rows) - 2
    text = table([row[: shown + 2] for row in rows])
    if len(weights) > _COMPONENTS_SHOWN:
        text += f"\n… and {len(weights) - _COMPONENTS_SHOWN} more components"
    if n_features > shown:
        text += f"\n… and {n_features - shown} more columns"
    return text


def standing(reports: Sequence[Mapping[str, Any]]) -> str:
    """Table of how components stand: rows, condition number, overlap, entropy and flags."""
    rows = [["component", "rows", "condition", "overlap", "entropy", ""]]
    for k, one in enumerate(reports[:_COMPONENTS_SHOWN]):
        numbers = (f"{one['rows']:.1f}", f"{one['condition']:.3g}", f"{one['overlap']:.4f}")
        rows.append([str(k), *numbers, f"{one['entropy']:.4f}", ", ".join(one["flags"])])
    return table(rows)


def deviations(values: Any, kind: str, shape: tuple[int, int]) -> Any:
    """Standard deviations (K, D) of components from covariances in their type's shape."""
    import numpy as np

    from daskgmm.model.covariance import COVARIANCES

    return np.sqrt(COVARIANCES[kind].variances(np.asarray(values), shape))


def _numbered(n_features: int) -> list[str]:
    return [f"feature {position}" for position in range(n_features)]


def facts_table(facts: Mapping[str, Any]) -> str:
    """Lines of a name and its value, aligned."""
    return _aligned([(name, str(value)) for name, value in facts.items()], "left")


def _fitting(rows: Sequence[Sequence[str]]) -> int:
    """Number of a table's first columns that fit on the terminal, at least three."""
    if not sys.stdout.isatty():
        return len(rows[0])
    room, _ = shutil.get_terminal_size()
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    ends = [end - 2 for end in accumulate(width + 2 for width in widths)]
    return max(3, sum(end <= room for end in ends))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Table with columns aligned on the right, as numbers are read."""
    return _aligned(rows, "right")


def _aligned(rows: Sequence[Sequence[str]], side: Literal["left", "right"]) -> str:
    """Cells in columns by their width on a terminal, where a Chinese character takes two places."""
    shown = [[_cell(text) for text in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    return "\n".join(_line(row, widths, side) for row in shown)


def _cell(text: str) -> str:
    """The text on one line, without codes that move a terminal's cursor."""
    return strip_control_codes(text.replace("\n", " "))


def _line(row: Sequence[str], widths: Sequence[int], side: Literal["left", "right"]) -> str:
    gaps = (" " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True))
    pairs = zip(row, gaps, strict=True)
    cells = (text + gap if side == "left" else gap + text for text, gap in pairs)
    return "  ".join(cells).rstrip()


def covariances(values: Any, kind: str) -> str:
    """Covariances in the shape of their type; long arrays are abbreviated in the middle."""
    import numpy as np

    array = np.asarray(values)
    shape = " × ".join(map(str, array.shape))
    text = np.array2string(array, precision=6, suppress_small=False, threshold=500)
    return f"covariances, {kind}, {shape}\n{text}"
