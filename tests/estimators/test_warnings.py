"""What a fit warns of: rows and results that are allowed, and hardly what was meant."""

import re

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture, GaussianMixtureSelector
from daskgmm.estimators.candidates import shortfalls
from daskgmm.passes.statistics import Statistics
from tests.support.paths import IRIS
from tests.support.warned import WITH_SMALL_COMPONENTS

ROWS = np.random.default_rng(0).normal(size=(300, 2))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "k"), [(GaussianMixture, 2), (GaussianMixtureSelector, [2])])
def test_a_constant_column_is_warned_of_by_name_at_the_callers_line(kind, k):
    frame = pd.DataFrame(ROWS, columns=["a", "b"]).assign(const=0.1)
    with pytest.warns(UserWarning, match=r"^Column 'const' is constant; leave it out\.$") as found:
        kind(k).fit(frame)
    assert {warning.filename for warning in found} == {__file__}


@pytest.mark.slow
def test_constant_features_without_names_go_by_their_numbers():
    rows = np.column_stack([np.full(300, -3.0), ROWS, np.full(300, 1e8)])
    with pytest.warns(UserWarning, match=r"^Feature 0, feature 3 are constant; leave them out\.$"):
        GaussianMixture(2, random_state=0).fit(rows)


@pytest.mark.slow
@given(
    value=st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100),
    lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=5),
    weighted=st.booleans(),
    scatter=st.booleans(),
)
def test_equal_numbers_are_constant_and_one_that_differs_in_its_last_digit_is_not(
    value, lengths, weighted, scatter
):
    other = value + max(np.spacing(abs(value)), 1e-100)  # less would have no square
    parts = [np.full((2, length), value) for length in lengths]
    parts[0] = np.append(parts[0], [[value], [other]], axis=1)
    random = np.random.default_rng(0)
    one, *more = (
        Statistics.of(
            part, random.uniform(0.5, 2, part.shape[1]) if weighted else None, scatter=scatter
        )
        for part in parts
    )
    assert sum(more, start=one).constant.tolist() == [True, False]


FEW = {"n_components": 4, "subsample": 40, "random_state": 0}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "40 sampled rows.* are 10 for each of 4 .* 15 features needs 17.* 68 rows"),
        ({"subsample": 68}, None),
        ({"covariance_type": "diag"}, None),
        ({"covariance_type": "tied"}, None),
        ({"prior": "default"}, None),
        ({"means_init": np.zeros((4, 15))}, "are 10"),
        ({"weights_init": np.full(4, 0.25), "means_init": np.zeros((4, 15)),
          "precisions_init": np.tile(np.eye(15), (4, 1, 1))}, None),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_sample_with_too_few_rows_for_full_covariances_is_warned_of_before_the_search(
    options, told, caplog
):
    rows = da.from_array(np.random.default_rng(0).normal(size=(200, 15)), chunks=(50, 15))
    with dask.config.set(scheduler="synchronous"):
        GaussianMixture(**FEW | options).fit(rows)
    warned = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert [re.search(told, text) is not None for text in warned] == ([True] if told else [])


@pytest.mark.filterwarnings("ignore")
def test_of_several_numbers_of_components_the_one_that_needs_most_is_warned_of(caplog):
    rows = da.from_array(np.random.default_rng(0).normal(size=(200, 15)), chunks=(50, 15))
    with dask.config.set(scheduler="synchronous"):
        GaussianMixtureSelector([1, 3, 4], subsample=40, random_state=0, max_iter=2).fit(rows)
    (warned,) = [one.getMessage() for one in caplog.records if "sampled" in one.getMessage()]
    assert "for each of 4 components" in warned


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_all_rows_are_no_sample_to_be_enlarged(caplog):
    GaussianMixture(4, random_state=0).fit(np.random.default_rng(0).normal(size=(40, 15)))
    assert not [one for one in caplog.records if "sampled" in one.getMessage()]


def results(**bounds):
    """Results of one start for each bound, with K from 1 on."""
    return [
        {"n_components": number, "covariance_type": kind, "lower_bound": bound, "converged": True}
        for kind, own in bounds.items()
        for number, bound in enumerate(own, start=1)
    ]


def told(rows, best=-1):
    return list(map(str, shortfalls(rows, best, 1e-3)))


def test_a_candidate_below_one_with_fewer_components_has_fallen_short():
    rows = results(full=[-5, -3, -4, -2, -2.5], diag=[-6, -5, -4, -4, -4])
    assert told(rows) == ["K = 3 (full) ended below K = 2", "K = 5 (full) ended below K = 4"]
    assert told(rows[::-1], best=0) == told(rows)


@pytest.mark.parametrize(("best", "n_told"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2)])
def test_far_more_components_than_the_best_has_are_not_told_of(best, n_told):
    assert len(told(results(full=[-5, -3, -4, -2, -2.5]), best)) == n_told


@pytest.mark.parametrize("bound", [-3.0005, float("nan"), None])
def test_one_that_is_below_by_less_than_tol_or_has_collapsed_has_not(bound):
    assert told(results(full=[-5, -3, bound])) == []


def test_of_several_starts_the_best_counts_and_max_iter_is_another_trouble():
    rows = results(full=[-5, -3, -4])
    assert told([*rows, rows[2] | {"lower_bound": -2}]) == []
    assert told([*rows[:2], rows[2] | {"converged": False}]) == []


@pytest.mark.filterwarnings("ignore:The best number of components")
@WITH_SMALL_COMPONENTS
def test_a_selection_warns_of_candidates_that_fell_short():
    iris = pd.read_csv(IRIS).drop(columns="species")
    selector = GaussianMixtureSelector(range(1, 9), criterion="aic", random_state=0)
    selector.set_params(refine="none")
    with pytest.warns(
        ConvergenceWarning,
        match=r"^K = 7 \(full\) ended below K = 6: its start was poor\. Try n_init=10",
    ) as found:
        selector.fit(iris)
    assert {warning.filename for warning in found} == {__file__}


@pytest.mark.slow
def test_a_feature_that_reg_covar_widens_is_warned_of_by_name():
    frame = pd.DataFrame(ROWS * [1, 1e-3], columns=["a", "b"])
    with pytest.warns(UserWarning, match=r"^reg_covar=1e-06 .* column 'b' varies") as found:
        GaussianMixture(1).fit(frame)
    assert {warning.filename for warning in found} == {__file__}
    GaussianMixture(1, reg_covar=1e-9).fit(frame)


@pytest.mark.parametrize(("kind", "k"), [(GaussianMixture, 2), (GaussianMixtureSelector, [2])])
def test_components_that_coincide_are_warned_of_by_number(kind, k):
    rows = np.random.default_rng(0).normal(size=(5_000, 2))
    with pytest.warns(ConvergenceWarning, match=r"^Components 0, 1 coincide with others") as found:
        kind(k, init_params="random", refine="none", random_state=0).fit(rows)
    assert __file__ in {warning.filename for warning in found}


def test_rows_of_one_value_are_hardly_wider_than_reg_covar():
    rows = np.vstack([ROWS, np.full((100, 2), 9.0)])
    with pytest.warns(ConvergenceWarning, match=r"^Component \d is hardly wider than reg_covar"):
        found = GaussianMixture(2, random_state=0, refine="none").fit(rows)
    assert sorted(found.components_["flags"]) == [(), ("on reg_covar",)]
