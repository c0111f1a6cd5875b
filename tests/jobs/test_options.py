from dataclasses import MISSING, fields

import pytest

from daskgmm import jobs
from daskgmm.errors import ConfigurationError
from daskgmm.fitting.options import declared
from daskgmm.jobs.cluster.options import ClusterOptions
from daskgmm.jobs.cluster.resources import Resources
from daskgmm.jobs.fitting import FitRequest
from daskgmm.jobs.inputs import Inputs
from daskgmm.jobs.options import (
    FitOptions,
    PredictOptions,
    RowsOptions,
    SampleOptions,
    UpdateOptions,
)
from daskgmm.jobs.predicting import PredictRequest
from daskgmm.jobs.sampling import SampleRequest
from daskgmm.jobs.updating import UpdateRequest


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (RowsOptions, Inputs),
        (ClusterOptions, Resources),
        (FitOptions, FitRequest),
        (PredictOptions, PredictRequest),
        (SampleOptions, SampleRequest),
        (UpdateOptions, UpdateRequest),
    ],
)
def test_what_options_become_has_their_defaults(kind, target):
    defaults = {
        each.name: each.default if each.default is not MISSING else each.default_factory()
        for each in fields(target)
        if (each.default, each.default_factory) != (MISSING, MISSING)
    }
    options = declared(kind)
    common = [name for name in options if name in defaults and name != "keep"]
    assert common
    assert {name: defaults[name] for name in common} == {
        name: options[name].option.default for name in common
    }


@pytest.mark.parametrize(
    ("name", "value"), [("max_iter", 0), ("tol", -1.0), ("workers", 0), ("worker_timeout", 0.0)]
)
def test_jobs_refuse_numbers_out_of_range(tmp_path, name, value):
    with pytest.raises(ConfigurationError, match=f"{name} is {value}"):
        jobs.fit("rows.csv", str(tmp_path / "run"), components=2, **{name: value})


def test_jobs_refuse_unknown_keywords(tmp_path):
    with pytest.raises(TypeError, match="'max_iters' is not an option"):
        jobs.fit("rows.csv", str(tmp_path / "run"), components=2, max_iters=3)
