"""What a type checker says of code that uses the package: a small file, checked as users do."""

import subprocess
import sys
from typing import get_args

import pytest

from daskgmm.fitting import options
from daskgmm.fitting.options import CacheOptions, MethodOptions, declared
from daskgmm.jobs.options import BayesianOptions
from daskgmm.model.bayesian.concentration import CONCENTRATIONS
from daskgmm.model.covariance import COVARIANCES, CovarianceType

USE = """
import dask.array as da
import numpy as np
from daskgmm import GaussianMixture, GaussianMixtureSelector, MergedMixture
from daskgmm import jobs, load, open_dataset

X = np.zeros((10, 2))
model = GaussianMixture(2, covariance_type="full", stopping="parameters", cache="disk").fit(X)
reveal_type(model)
reveal_type(model.predict(X))
lazy: da.Array = da.from_array(X)
reveal_type(model.predict(lazy))
reveal_type(model.predict_proba(open_dataset("rows")))
reveal_type(model.score(X))
stored = load("run")
reveal_type(stored.predict(X))
if not isinstance(stored, MergedMixture):
    reveal_type(stored)
GaussianMixtureSelector(range(1, 4), covariance_type=("full", "diag"))
jobs.fit("rows", "run", components=2, covariance="diag")
"""

# Arrays are NumPy's and Dask's; of what else is imported nothing is revealed.
SETTINGS = """
[mypy]
ignore_missing_imports = True
follow_imports = skip

[mypy-daskgmm.*,dask.*,numpy.*]
follow_imports = normal
"""

REVEALED = ["GaussianMixture", "ndarray", "Array", "Array", "float", "ndarray", "GaussianMixture"]

WRONG = {
    "GaussianMixture(2, covariance_type='fulll')": "covariance_type",
    "GaussianMixture(2, init_params='kmeens')": "init_params",
    "GaussianMixture(2, refine='split')": "refine",
    "GaussianMixture(2, stopping='bound')": "stopping",
    "GaussianMixture(2, acceleration='squared')": "acceleration",
    "GaussianMixture(2, cache='ram')": "cache",
    "GaussianMixture(2, missing='dropp')": "missing",
    "GaussianMixtureSelector(3, covariance_type=('full', 'dial'))": "covariance_type",
    "jobs.fit('rows', 'run', components=2, covariance='fulll')": "covariance",
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Mypy's lines about the file, and about each wrong use by its own line."""
    folder = tmp_path_factory.mktemp("types")
    heading = "from daskgmm import GaussianMixture, GaussianMixtureSelector, jobs"
    (folder / "use.py").write_text(USE)
    (folder / "wrong.py").write_text("\n".join([heading, *WRONG, ""]))
    (folder / "mypy.ini").write_text(SETTINGS)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "use.py", "wrong.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_misspelled_value_is_an_error_of_its_parameter(checked):
    errors = [line for line in checked if line.startswith("wrong.py")]
    assert len(errors) >= len(WRONG)
    for number, name in enumerate(WRONG.values(), start=2):
        (line,) = (line for line in errors if line.startswith(f"wrong.py:{number}: error:"))
        assert f'"{name}"' in line


@pytest.mark.slow
def test_results_have_the_kind_of_the_rows(checked):
    own = [line for line in checked if line.startswith("use.py")]
    assert not [line for line in own if " error: " in line]
    revealed = [line.split('"')[1] for line in own if "Revealed type" in line]
    assert [one.partition("[")[0].rpartition(".")[2] for one in revealed] == REVEALED
    assert "signedinteger" in revealed[1]


def test_type_checkers_know_the_values_that_there_are():
    found = declared(MethodOptions) | declared(CacheOptions)
    names = {
        "init": options.InitChoice,
        "refine": options.RefineChoice,
        "stopping": options.StoppingChoice,
        "acceleration": options.AccelerationChoice,
        "cache": options.CacheChoice,
    }
    for name, choices in names.items():
        assert get_args(choices) == found[name].option.choices
    assert get_args(options.ConcentrationChoice) == tuple(CONCENTRATIONS)
    kinds = declared(BayesianOptions)["concentration_type"].option.choices
    assert kinds == tuple(CONCENTRATIONS)
    assert get_args(CovarianceType) == tuple(COVARIANCES)
