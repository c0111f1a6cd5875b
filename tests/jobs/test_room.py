"""What a plan calls too large, a job's fit refuses before it reads a row, and nothing else."""

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from daskgmm import GaussianMixture, jobs, open_dataset
from daskgmm.errors import ConfigurationError
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.planning.cluster import limit_of
from daskgmm.jobs.planning.passes import PassPlan
from daskgmm.passes import memory_limits
from daskgmm.passes.memory import TARGET
from daskgmm.passes.memory_limits import Limit, least_limit
from tests.support.clusters import in_threads

MIB = 2**20


class SurveyedError(Exception):
    """The fit has begun to read rows."""


def refused(action):
    """The error by which an action refuses sizes; ``None`` where it goes on."""
    try:
        action()
    except ConfigurationError as error:
        return str(error)
    except SurveyedError:
        pass
    return None


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(
    ("n_features", "options", "told"),
    [
        (60, {"n_components": 200}, "200 components and 60 features"),
        (60, {"n_components": 200, "subsample": 400, "refine": "none"}, "200 components"),
        (50, {"n_components": 400}, "400 components and 50 features"),
        (50, {"n_components": 400, "refine": "none", "n_init": 4}, "1,600 components"),
        (50, {"n_components": 400, "covariance_type": "diag"}, "400 components"),
        (40, {"n_components": 90, "dtype": "float32", "missing": "marginalize"}, "90 components"),
    ],
)
def test_a_fit_refuses_what_a_plan_calls_too_large(
    n_features, options, told, threads, tmp_path, monkeypatch
):
    def read(*_):
        raise SurveyedError

    rows = np.random.default_rng(0).normal(size=(500, n_features))
    names = [f"x{index}" for index in range(n_features)]
    pd.DataFrame(rows, columns=names).to_parquet(tmp_path / "rows.parquet")
    dataset = open_dataset(tmp_path / "rows.parquet")
    model = GaussianMixture(**options, checkpoint=tmp_path / "checkpoint")  # as a job has one
    pass_plan = PassPlan.of(model, dataset.source())
    monkeypatch.setattr("daskgmm.fitting.fit.surveyed", read)
    needed = least_limit(pass_plan.task, threads)
    for limit, too_small in ((needed - MIB, True), (needed + MIB, False)):
        monkeypatch.setattr(memory_limits, "largest_worker", lambda: Limit(limit, threads))  # noqa: B023
        by_plan = refused(
            lambda: limit_of(Resources(memory_limit=str(limit)), threads, pass_plan)  # noqa: B023
        )
        by_fit = refused(lambda: model.fit(dataset))
        assert (by_plan is not None) == (by_fit is not None) == too_small, (by_plan, by_fit)
        if too_small:
            assert told in by_plan
            assert by_plan.replace("the memory limit is", "the largest worker has") == by_fit


@pytest.mark.slow
@pytest.mark.parametrize(("n_features", "n_components"), [(3, 2), (16, 6), (20, 8)])
def test_workers_of_half_a_gibibyte_fit_usual_sizes_and_the_plan_says_what_is_short(
    n_features, n_components
):
    found = jobs.plan(
        rows=1_000_000, features=n_features, components=n_components,
        workers=2, threads=1, memory_limit="512MiB",
    )  # fmt: skip
    assert found["memory_a_worker_peak_bytes"] > TARGET * 512 * MIB
    assert found["memory_a_worker_bytes"] > 512 * MIB
    assert not found["rows_in_memory"]
    assert found["cheapest"] is None


def test_the_largest_worker_is_known_where_the_client_is_told_of_none_beside_it(monkeypatch):
    update = Client._update_scheduler_info

    async def overtaken(self, n_workers=0):
        await update(self, n_workers)
        await update(self)  # as it is every two seconds

    monkeypatch.setattr(Client, "_update_scheduler_info", overtaken)
    with in_threads(memory_limit="3GiB"):
        assert memory_limits.largest_worker() == Limit(3 * 2**30, 1)
