import inspect
import subprocess
import sys

import pytest

from daskgmm import GaussianMixture, GaussianMixtureSelector
from daskgmm.errors import ConfigurationError
from daskgmm.fitting.options import CacheOptions, MethodOptions, declared
from daskgmm.passes.cache.choose import CACHES
from daskgmm.training.acceleration import ACCELERATIONS
from daskgmm.training.initialisation import INITIALISERS
from daskgmm.training.stopping import STOPPING

OPTIONS = declared(MethodOptions) | declared(CacheOptions)


@pytest.mark.parametrize("estimator", [GaussianMixture, GaussianMixtureSelector])
def test_constructors_have_the_declared_defaults(estimator):
    parameters = inspect.signature(estimator).parameters
    found = {each.parameter: parameters[each.parameter].default for each in OPTIONS.values()}
    assert found == {each.parameter: each.option.default for each in OPTIONS.values()}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("init", INITIALISERS),
        ("stopping", STOPPING),
        ("acceleration", ACCELERATIONS.keys() - {None}),
        ("cache", CACHES),
    ],
)
def test_choices_are_those_that_fits_know(name, known):
    assert set(OPTIONS[name].option.choices) == set(known)


@pytest.mark.parametrize(
    ("name", "value"),
    [("tol", -1), ("tol", float("nan")), ("tol", "x"), ("n_init", 0), ("n_init", 1.5)],
)
def test_numbers_out_of_range_are_refused_with_their_value(name, value):
    with pytest.raises(ConfigurationError, match=f"{name} is {value!r}"):
        OPTIONS[name].check(value)


def test_none_passes_where_it_is_a_value():
    OPTIONS["dtype"].check(None)
    with pytest.raises(ConfigurationError):
        OPTIONS["max_iter"].check(None)


def test_declarations_load_no_library():
    code = (
        "import sys, daskgmm.jobs.options;"
        "print({'numpy', 'dask', 'sklearn', 'fsspec', 'pyarrow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
