"""Prefect's flow of a night: fit or refresh, gate, predict and publish, by `daskgmm.jobs`.

Start, in an environment with prefect and daskgmm (Prefect 3.8 does not start with FastAPI 0.165:
install 'fastapi<0.140' beside it)::

    python deploy/schedules/prefect_flow.py     serves it: every night, and when it is asked to

Two edits: that environment, or the image of the work pool that runs the flow, and DATA and
RESULTS, folders or URLs; they can be given in the environment, as the credentials of stores are.
STEPS="refresh gate predict publish" keeps a chain of updates, as in nightly.sh.

A step is tried again after a `ClusterError`, a passing failure (the command line's exit code 75),
and after no other: a shut gate or bad data fail the night at once, and nothing is published. The
same day again does what is missing.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, task
from previous import previous
from publish import publish as point_to

from daskgmm import jobs, load
from daskgmm.errors import BelowThresholdError, ClusterError, MissingInputError, OutputError

DATA = os.environ.get("DATA", "s3://rows")  # with the rows of a day in date=YYYY-MM-DD/
RESULTS = os.environ.get("RESULTS", "s3://results")  # models/DAY, labels/DAY, and latest.json
START = os.environ.get("START")  # another run to start from, or none: see nightly.sh
STEPS = os.environ.get("STEPS", "fit gate predict publish").split()
TRIES = int(os.environ.get("TRIES", "6"))
PAUSE = float(os.environ.get("PAUSE", "600"))

COMPONENTS = 8
GATE = -3.2  # nats a row
FORGETTING = 0.9  # of a refreshed model: a row counts for about ten nights
DRIFT = -0.2  # nats a row: rows that fit so much worse have a model fitted anew


class ShutGateError(Exception):
    """The model of a night is not good enough."""


def passing(_task: Any, _run: Any, state: Any) -> bool:
    """Whether a step failed in passing."""
    return isinstance(state.result(raise_on_failure=False), ClusterError)


step = partial(task, retries=TRIES - 1, retry_delay_seconds=PAUSE, retry_condition_fn=passing)


def before(day: str) -> str | None:
    """Run of the last accepted night, if there is one and it is wanted."""
    return None if START == "none" else START or previous(RESULTS, day)


@step
def fit(model: str, where: str, day: str) -> None:
    """Leave the night's run directory; component 3 is that of the last accepted night."""
    jobs.fit(DATA, model, components=COMPONENTS, where=[where], start_from=before(day))


@step
def refresh(model: str, where: str, day: str) -> None:
    """Update the last accepted night's model; fit anew where the rows have drifted from it."""
    with suppress(MissingInputError):
        load(model)
        return  # made already
    last = before(day)
    if last:
        with suppress(BelowThresholdError, OutputError):  # OutputError: an unfinished fit is there
            jobs.update(
                last, DATA, model, where=[where], forgetting=FORGETTING, fail_below_difference=DRIFT
            )
            return
    jobs.fit(DATA, model, components=COMPONENTS, where=[where], align_to=last)


@step
def gate(model: str, where: str) -> None:
    """Raise ShutGateError where the model does not fit the rows well enough."""
    found = jobs.score(model, DATA, where=[where])["mean_log_likelihood"]
    if not found >= GATE:  # NaN is no quality either
        raise ShutGateError(f"The mean log-likelihood is {found:.6g} nats a row, below {GATE:g}.")


@step
def predict(model: str, where: str, labels: str) -> None:
    """Write the rows' labels."""
    jobs.predict(model, DATA, labels, where=[where], with_=["labels", "log-density"])


@step
def publish(day: str, model: str, labels: str) -> None:
    """Point to both."""
    point_to(f"{RESULTS}/latest.json", day, {"model": model, "labels": labels})


@flow(name="daskgmm-nightly")
def nightly(day: str | None = None) -> None:
    """Each step after the one before; by default of yesterday (UTC)."""
    day = day or (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    if "://" not in RESULTS:
        for name in ("models", "labels"):
            Path(RESULTS, name).mkdir(parents=True, exist_ok=True)
    model, labels, where = f"{RESULTS}/models/{day}", f"{RESULTS}/labels/{day}", f"date={day}"
    (refresh if "refresh" in STEPS else fit)(model, where, day)
    gate(model, where)
    predict(model, where, labels)
    publish(day, model, labels)


if __name__ == "__main__":
    nightly.serve(name="every-night", cron="30 2 * * *")
