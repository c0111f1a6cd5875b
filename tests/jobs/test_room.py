"""What a plan calls too large, a fit refuses before it reads a row, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from daskgmm import GaussianMixture, open_dataset
from daskgmm.errors import ConfigurationError
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.planning.cluster import limit_of
from daskgmm.jobs.planning.passes import PassPlan
from daskgmm.passes import limits
from daskgmm.passes.limits import Limit
from daskgmm.passes.memory import memory_limit_for

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
        (3, {"n_components": 2}, "2 components and 3 features"),
        (3, {"n_components": 2, "subsample": 400, "refine": "none"}, "2 components"),
        (50, {"n_components": 400}, "400 components and 50 features"),
        (50, {"n_components": 400, "refine": "none", "n_init": 4}, "1,600 components"),
        (50, {"n_components": 400, "covariance_type": "diag"}, "400 components"),
        (20, {"n_components": 20, "dtype": "float32", "missing": "marginalize"}, "20 components"),
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
    dataset, model = open_dataset(tmp_path), GaussianMixture(**options)
    pass_plan = PassPlan.of(model, dataset.source())
    monkeypatch.setattr("daskgmm.fitting.fit.surveyed", read)
    needed = memory_limit_for(pass_plan.task, threads)
    for limit, too_small in ((needed - MIB, True), (needed + MIB, False)):
        monkeypatch.setattr(limits, "largest_worker", lambda: Limit(limit, threads))  # noqa: B023
        by_plan = refused(
            lambda: limit_of(Resources(memory_limit=str(limit)), threads, pass_plan)  # noqa: B023
        )
        by_fit = refused(lambda: model.fit(dataset))
        assert (by_plan is not None) == (by_fit is not None) == too_small, (by_plan, by_fit)
        if too_small:
            assert told in by_plan
            assert by_plan.replace("the memory limit is", "the largest worker has") == by_fit
