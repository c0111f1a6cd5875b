"""scikit-learn's own tests, run against ours."""

import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.mixture.tests
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskgmm import BayesianGaussianMixture, GaussianMixture, GaussianMixtureSelector
from daskgmm.model.covariance import COVARIANCES

WEIGHTS = (
    "k-means draws its seeds from rows: weighted and repeated rows draw others. scikit-learn "
    "lists the same check as an expected failure of its KMeans"
)


RANGE = "the default of n_components is a range, which scikit-learn has on no list of its own"


def expected_failures(estimator):
    if isinstance(estimator, GaussianMixtureSelector):
        return {"check_parameters_default_constructible": RANGE}
    if estimator.n_components == 1:
        return {}  # all starts end in the same mixture
    return {"check_sample_weight_equivalence_on_dense_data": WEIGHTS}


SLOW = ("tied", "diag", "spherical")
"""Types that are checked among the slow tests; a further one is checked at once."""

CALMLY = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
    pytest.mark.filterwarnings("ignore:The best number of components"),
]


def checked(*estimators):
    """Mark a test with scikit-learn's checks of some estimators."""
    mark = parametrize_with_checks(list(estimators), expected_failed_checks=expected_failures)

    def marked(test):
        for each in (mark, *CALMLY):
            test = each(test)
        return test

    return marked


@pytest.mark.slow
@checked(
    *(GaussianMixture(covariance_type=kind) for kind in COVARIANCES if kind not in SLOW),
    BayesianGaussianMixture(),
)
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@checked(
    *(GaussianMixture(covariance_type=kind) for kind in SLOW),
    GaussianMixture(2),
    GaussianMixture(2, covariance_type="diag"),
    GaussianMixtureSelector((1, 2)),
    BayesianGaussianMixture(n_components=2),
)
def test_its_checks_of_more_estimators(estimator, check):
    check(estimator)


DESELECTED = {
    "test_gaussian_mixture_precisions_init[": "calls the private _initialize, _set_parameters",
    "test_gaussian_mixture_all_init_does_not_estimate": "counts calls of a private function",
    "test_gaussian_mixture_array_api": "the array API is scikit-learn's experiment",
    "test_gaussian_mixture_raises_where_array_api": "the array API is scikit-learn's experiment",
    "test_score[float32]": "holds score() to score_samples().mean() summed in float32; ours "
    "sums in float64. scikit-learn itself runs float64 only, unless told otherwise",
    "test_compare_covar_type": "calls the private _check_parameters, _initialize_parameters",
}

CONFTEST = """
import numpy as np
import pytest

@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def global_dtype(request):
    return request.param

@pytest.fixture(params=[0, 42])
def global_random_seed(request):
    return request.param

def pytest_collection_modifyitems(config, items):
    left_out = {left_out!r}
    items[:] = [item for item in items if not any(name in item.nodeid for name in left_out)]
"""


MODULES = {
    "test_gaussian_mixture.py": "GaussianMixture",
    "test_bayesian_mixture.py": "BayesianGaussianMixture",
}


@pytest.mark.long
@pytest.mark.slow
def test_scikit_learns_own_mixture_tests_pass_with_ours_in_place_of_theirs(tmp_path):
    for module, name in MODULES.items():
        original = Path(sklearn.mixture.tests.__path__[0]) / module
        imported = f"from sklearn.mixture import {name}\n"
        text = original.read_text()
        assert text.count(imported) == 1
        (tmp_path / module).write_text(text.replace(imported, f"from daskgmm import {name}\n"))
    conftest = CONFTEST.replace("{left_out!r}", repr(list(DESELECTED)))
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    passed = int(done.stdout.split(" passed")[0].split()[-1])
    assert passed >= 75 + 16
