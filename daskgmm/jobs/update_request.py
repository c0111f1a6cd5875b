"""What is asked of an update, and what tells it from others."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from daskgmm.data.storage.folder import Place
from daskgmm.errors import OutputError
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.inputs import Inputs, fingerprint
from daskgmm.jobs.json_values import as_plain
from daskgmm.jobs.models import Model
from daskgmm.jobs.runs.decision import Order

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpdateRequest:
    """A model to be refreshed.

    Parameters
    ----------
    model : Model
        With the moments of the rows that it has seen.
    inputs : Inputs
        The new rows. Their storage options are the model's and the output's as well.
    output : str
        The run directory, local or a URL.
    forgetting : float
        What the moments of the rows before are multiplied with; see
        `daskgmm.GaussianMixture.partial_fit`.
    resources : Resources
    force : bool
        Replace a run that differs.
    command : tuple of str
        What the user typed, for the record.
    """

    model: Model
    inputs: Inputs
    output: str
    forgetting: float = 1.0
    resources: Resources = field(default_factory=Resources)
    force: bool = False
    command: tuple[str, ...] = ()

    def configuration(self) -> dict[str, Any]:
        """All that the result depends on but the rows."""
        inputs, run = self.inputs, self.model.run
        chosen = {
            "columns": inputs.columns,
            "weight_column": inputs.weight_column,
            "where": inputs.where,
            "format": inputs.format,
            "forgetting": float(self.forgetting),
            "updated_from": self.origin(),
        }
        if inputs.delimiter is not None:
            chosen["delimiter"] = inputs.delimiter
        if run is not None:  # no number is drawn: a figure's sample stays the same
            chosen["seed"] = run.seed
        return dict(as_plain(chosen))

    def origin(self) -> dict[str, Any]:
        """What tells the model from others: its run, if there is one, and its file's digest."""
        run = self.model.run
        run_id = None if run is None else run.record["run_id"]
        return {"run_id": run_id, "model_sha256": self.model.sha256}

    def order(self, dataset: Any) -> Order:
        """What is asked of the run directory.

        Raises
        ------
        OutputError
            It is that of the model itself.
        """
        folder, run = Place.of(self.output, self.inputs.storage_options), self.model.run
        if run is not None and run.name == folder.name:
            raise OutputError(
                f"{folder.name} is the run to be updated.",
                "Choose another output: run again in place, it would count the rows twice.",
            )
        marks = fingerprint(dataset)
        resources = asdict(self.resources)
        return Order(folder, self.configuration(), marks, resources, self.command, force=self.force)

    def warn_of_rows_again(self, marks: Mapping[str, Any]) -> None:
        """Tell of inputs, by their fingerprint, that the model's run has read already."""
        run, files = self.model.run, marks["files"]
        if run is None or self.forgetting == 0:
            return
        seen = [_version(file) for file in run.record["inputs"]["files"]]
        again = [file["path"] for file in files if _version(file) in seen]
        if again:
            fact = "%d of %d inputs, such as %s, are those of %s already: their rows count twice."
            logger.warning(fact, len(again), len(files), again[0], run.name)


def _version(file: Mapping[str, Any]) -> dict[str, Any]:
    return {name: file[name] for name in file if name != "rows"}
