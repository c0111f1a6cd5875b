"""Airflow's DAG of a night: nightly.sh's steps fit, gate, predict and publish, a task each.

Start: copy or link this file into Airflow's DAG folder and switch ``daskgmm_nightly`` on. Airflow's
environment needs nothing of ours: the commands have one of their own.

Two edits: NIGHTLY, where nightly.sh lies on the workers, and in it the environment and the data's
location (or in Airflow's environment, which the steps see).

STEPS in the environment takes other steps of nightly.sh, such as "refresh gate predict publish".

A step is tried again after exit code 75, a passing failure, and after no other: a shut gate (3) or
bad data (65) fail the night at once, and what comes after is not run.
"""

import os
import subprocess
from datetime import UTC, datetime, timedelta

from airflow.sdk import chain, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

NIGHTLY = os.environ.get("NIGHTLY", "/opt/daskgmm/deploy/schedules/nightly.sh")
TRIES = int(os.environ.get("TRIES", "6"))
PAUSE = timedelta(seconds=float(os.environ.get("PAUSE", "600")))

STEPS = os.environ.get("STEPS", "fit gate predict publish").split()
PASSING_FAILURE = 75


def step(name: str) -> None:
    """Run a step of the night before the run's date, of which all rows are there."""
    context = get_current_context()
    date = context.get("logical_date") or context["dag_run"].run_after
    day = (date - timedelta(days=1)).date().isoformat()
    once = os.environ | {"TRIES": "1"}  # Airflow tries again by itself
    done = subprocess.run(["bash", NIGHTLY, day, name], env=once, check=False)
    if done.returncode == PASSING_FAILURE:
        raise AirflowException(f"{name} failed in passing")
    if done.returncode != 0:
        raise AirflowFailException(f"{name} ended with exit code {done.returncode}")


@dag(
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=10),
    default_args={"retries": TRIES - 1, "retry_delay": PAUSE},
)
def daskgmm_nightly() -> None:
    """Each step after the one before."""
    chain(*(task(step, task_id=name)(name) for name in STEPS))


daskgmm_nightly()
