"""The command ``daskgmm show``."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from daskgmm.cli.commands.merge import clusters_in_words
from daskgmm.cli.options.shared import COMMON, JSON, MODEL, STORAGE


@click.command()
@MODEL
@JSON
@STORAGE
@COMMON
def show(model: str, *, as_json: bool, storage_options: tuple[tuple[str, Any], ...]) -> None:
    """Show the parameters of MODEL and how its fit went.

    MODEL is a run directory or a model file.
    """
    from daskgmm.jobs.json_values import to_json
    from daskgmm.jobs.models import describe, find_model

    description = describe(find_model(model, dict(storage_options)))
    click.echo(to_json(description) if as_json else _text(description))


def _text(description: Mapping[str, Any]) -> str:
    from daskgmm.cli.output.tables import (
        candidates,
        components,
        covariances,
        deviations,
        facts_table,
        standing,
    )

    weights, means, names = (description[key] for key in ("weights", "means", "columns"))
    values, kind = description["covariances"], description["covariance_type"]
    spread = deviations(values, kind, (len(means), len(means[0])))
    sections = [facts_table(_facts(description)), components(weights, means, spread, names)]
    sections.append(standing(description["standing"]))
    sections.append(covariances(values, kind))
    run = description["run"]
    if run is not None and "candidates" in run["result"]:
        sections.append(candidates(run["result"]))
    return "\n\n".join(sections)


def _files(paths: Sequence[str]) -> str | None:
    if not paths:
        return None
    return paths[0] if len(paths) == 1 else f"{len(paths)} files, the first {paths[0]}"


def _run_in(record: Mapping[str, Any], key: str) -> str | None:
    """Id of a run that a record names, if it is one and no model file."""
    found: str | None = record.get(key, {}).get("run_id")
    return found


def _facts(description: Mapping[str, Any]) -> dict[str, Any]:
    from daskgmm.cli.output.tables import rows_shared

    fit, run = description["fit"], description["run"]
    facts = {
        "model": description["model"],
        "components": description["components"],
        **rows_shared(description["components_with_rows"], description["components"]),
        "clusters": description["clusters"] and clusters_in_words(description["clusters"]),
        "columns": description["features"],
        "covariance": description["covariance_type"],
        "noise": description["noise"] and f"{description['noise']['weight']:.4f} of the rows",
        "rows": fit["n_rows"] and f"{fit['n_rows']:,}",
        "lower bound": fit["lower_bound"] and f"{fit['lower_bound']:.6f} nats a row",
        "iterations": fit["n_iter"],
        "passes": fit["n_passes"],
        "converged": {True: "yes", False: "no", None: None}[fit["converged"]],
    }
    if run is not None:
        # Passes of all candidates together: the model may have stopped before others.
        facts["passes"] = run["result"].get("n_passes", facts["passes"])
        facts |= {
            "seed": run["seed"],
            "run id": run["run_id"],
            "updated from run": _run_in(run, "updated_from"),
            "started from run": _run_in(run, "started_from"),
            "aligned to run": _run_in(run, "aligned_to"),
            "adapted from run": _run_in(run, "adapted_from"),
            "merged from run": _run_in(run, "merged_from"),
            "fitted": f"{run['timings']['ended']} in {run['timings']['seconds']:.1f} s",
            "inputs": _files([file["path"] for file in run["inputs"]["files"]]),
        }
    return {name: value for name, value in facts.items() if value is not None}
