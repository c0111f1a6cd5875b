"""Text of ``daskgmm runs``: a table of runs, and runs side by side."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from daskgmm.cli.output.tables import table

_ID_SHOWN = 8


def list_table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Table of runs, a line each, from their plain values."""
    rows = [["run", "id", "state", "when", "rows", "K", "lower bound", "seconds"]]
    rows += [_line(run) for run in runs]
    return table(rows)


def _line(run: Mapping[str, Any]) -> list[str]:
    rows, components = run["rows"], run["components"]
    return [
        last_part(run["run"]),
        (run["id"] or "-")[:_ID_SHOWN],
        run["state"],
        _minute(run["when"]),
        "-" if rows is None else f"{rows:,}",
        "-" if components is None else str(components),
        _number(run["lower_bound"], ".6f"),
        _number(run["seconds"], ".1f"),
    ]


def last_part(address: str) -> str:
    """The last part of a path or URL."""
    return address.rstrip("/").rpartition("/")[2]


def _minute(when: str | None) -> str:
    """A time in UTC to the minute."""
    if when is None:
        return "-"
    return f"{datetime.fromisoformat(when).astimezone(UTC):%Y-%m-%d %H:%M}Z"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def comparison_text(found: Mapping[str, Any]) -> str:
    """Runs side by side: facts, options that differ, and components matched with the first's."""
    runs = found["runs"]
    names = [last_part(run["model"]) for run in runs]
    rows = [["", *names]]
    rows += [[name, *map(text, runs)] for name, text in _FACTS.items()]
    sections = [table(rows)]
    if found["options"]:
        differing = [["option", *names]]
        differing += [[name, *map(_option, row)] for name, row in found["options"].items()]
        sections.append(table(differing))
    sections += [_matched(pair) for pair in found["components"]]
    return "\n\n".join(sections)


def _rows(run: Mapping[str, Any]) -> str:
    return "-" if run["rows"] is None else f"{run['rows']:,}"


_FACTS = {
    "id": lambda run: (run["id"] or "-")[:_ID_SHOWN],
    "when": lambda run: _minute(run["when"]),
    "rows": _rows,
    "K": lambda run: str(run["components"]),
    "covariance": lambda run: run["covariance"],
    "lower bound (nats a row)": lambda run: _number(run["lower_bound"], ".6f"),
    "gain on the first (nats a row)": lambda run: _number(run["gain"], "+.6f"),
    "drift of its new rows (nats a row)": lambda run: _number(run["difference"], "+.6f"),
    "converged": lambda run: {True: "yes", False: "no", None: "-"}[run["converged"]],
    "iterations": lambda run: str(run["iterations"] or "-"),
    "seconds": lambda run: _number(run["seconds"], ".1f"),
}

_LONGEST = 40


def _option(value: Any) -> str:
    """A value of an option, without the middle of a long one."""
    if isinstance(value, Mapping):  # a model that the run refers to
        value = value["run_id"] or value["model_sha256"]
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    text = "-" if value is None else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def _matched(pair: Mapping[str, Any]) -> str:
    heading = f"{pair['model']} against {pair['reference']}"
    if pair["matched"] is None:
        return f"{heading}: components are not matched. {pair['why']}"
    rows = [["component", "its like", "weight", "there", "shift (sd)", "divergence (nats)"]]
    rows += [
        [
            str(one["component"]),
            str(one["matched"]),
            f"{one['weight_before']:.4f}",
            f"{one['weight_after']:.4f}",
            f"{one['shift']:.4g}",
            f"{one['divergence']:.4g}",
        ]
        for one in pair["matched"]
    ]
    return f"{heading}\n{table(rows)}"
