"""Other mixtures that a fit starts from, and in whose order components are brought."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.mixture import GaussianMixture as Theirs
from sklearn.model_selection import cross_val_score

from daskgmm import GaussianMixture, GaussianMixtureSelector, load
from daskgmm.errors import ConfigurationError, InputTypeError, MissingInputError
from daskgmm.estimators.references import reordered
from tests.support.rows import separated

K = 3
ORDER = np.array([2, 0, 1])
NAMES = ["a", "b"]
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def some_rows(seed=0):
    return separated(600, seed) * [1.0, 1.5]


def fitted(kind="full", X=None, **options):
    options = {"covariance_type": kind, "random_state": 0, "refine": "none"} | options
    return GaussianMixture(K, **options).fit(some_rows() if X is None else X)


def parameters(model):
    names = ("weights_", "means_", "covariances_", "precisions_cholesky_")
    return b"".join(np.asarray(getattr(model, name)).tobytes() for name in names)


# --- match and align_to


def test_a_match_of_a_reordered_model_is_the_permutation(covariance_type):
    model = fitted(covariance_type)
    other = reordered(model, ORDER)
    assert_array_equal(model.match(other), ORDER)
    assert_array_equal(other.match(model), np.argsort(ORDER))
    assert_array_equal(other.means_, model.means_[ORDER])
    assert_array_equal(model.match(model), range(K))


def test_an_aligned_model_is_the_same_mixture_in_the_references_order(covariance_type):
    model, reference = fitted(covariance_type), reordered(fitted(), ORDER)
    aligned = model.align_to(reference)
    assert parameters(aligned.align_to(reference)) == parameters(aligned)
    assert_array_equal(aligned.match(reference), range(K))
    order, rows = model.match(reference), some_rows(1)
    assert_allclose(aligned.score_samples(rows), model.score_samples(rows), rtol=1e-12)
    assert_allclose(aligned.predict_proba(rows), model.predict_proba(rows)[:, order], atol=1e-12)
    assert_array_equal(order[aligned.predict(rows)], model.predict(rows))
    assert aligned.get_params() == model.get_params()
    assert parameters(model) == parameters(fitted(covariance_type))  # unchanged


def test_moments_are_reordered_too(covariance_type, tmp_path):
    model = fitted(covariance_type)
    aligned = reordered(model, ORDER)
    aligned.save(tmp_path / "model.safetensors")
    for each in (aligned, load(tmp_path / "model.safetensors")):
        found = each.partial_fit(some_rows(1)).means_
        expected = fitted(covariance_type).partial_fit(some_rows(1)).means_
        assert_allclose(found, expected[ORDER], rtol=1e-11)


def test_references_are_files_runs_selectors_and_scikit_learns_models(tmp_path):
    model, other = fitted(), reordered(fitted(), ORDER)
    other.save(tmp_path / "model.safetensors")
    selector = GaussianMixtureSelector(K, random_state=0).fit(some_rows())
    for reference in (tmp_path / "model.safetensors", str(tmp_path), other.to_sklearn()):
        assert_array_equal(model.match(reference), ORDER)
    assert_array_equal(model.match(selector), range(K))
    assert_array_equal(GaussianMixture.from_sklearn(other.to_sklearn()).match(model), [1, 2, 0])


def test_columns_are_matched_by_name_where_both_have_names(covariance_type):
    frame = pd.DataFrame(some_rows(), columns=NAMES)
    model = fitted(covariance_type, frame)
    swapped = reordered(fitted(covariance_type, frame[NAMES[::-1]]), ORDER)
    assert_array_equal(model.match(swapped), ORDER)
    started = fitted(covariance_type, frame, start_from=swapped)
    assert_allclose(started.means_, model.means_[ORDER], atol=0.05)
    assert list(started.feature_names_in_) == NAMES
    nameless = fitted(covariance_type, frame.to_numpy())
    assert_array_equal(model.match(reordered(nameless, ORDER)), ORDER)


def test_other_columns_or_numbers_of_components_are_refused():
    frame = pd.DataFrame(some_rows(), columns=NAMES)
    model = fitted(X=frame)
    with pytest.raises(ConfigurationError, match="not fitted on 'a'"):
        model.match(fitted(X=frame.rename(columns={"a": "c"})))
    with pytest.raises(ConfigurationError, match="fitted on 1 columns, not on 2"):
        model.align_to(fitted(X=frame[["b"]]))
    with pytest.raises(ConfigurationError, match="components is 2 in reference, and 3 here"):
        model.match(GaussianMixture(2, random_state=0).fit(frame))
    with pytest.raises(ConfigurationError, match="not fitted yet"):
        GaussianMixture(2).match(model)


# --- start_from


@unconverged
def test_a_fit_starts_from_the_models_parameters_in_its_order(covariance_type):
    start, rows = reordered(fitted(covariance_type), ORDER), some_rows(1)
    given = {
        "weights_init": start.weights_, "means_init": start.means_,
        "precisions_init": start.precisions_, "subsample": None,
    }  # fmt: skip
    options = {"X": rows, "max_iter": 3, "tol": 0}
    found = fitted(covariance_type, start_from=start, n_init=4, **options)
    expected = fitted(covariance_type, **given, **options)
    assert_allclose(found.lower_bounds_, expected.lower_bounds_, rtol=1e-12)
    assert_allclose(found.means_, expected.means_, rtol=1e-10, atol=1e-12)
    assert (found.n_iter_, found.n_passes_) == (3, 4)


def test_a_fit_of_the_same_rows_ends_where_it_starts(covariance_type):
    start = reordered(fitted(covariance_type, tol=1e-9, max_iter=1000), ORDER)
    for rows in (some_rows(), da.from_array(some_rows(), chunks=(100, 2))):
        found = fitted(covariance_type, rows, start_from=start)
        assert_array_equal(found.match(start), range(K))
        assert_allclose(found.means_, start.means_, atol=1e-3)
        assert (found.n_iter_, found.converged_) == (2, True)


def test_another_covariance_type_is_converted(covariance_type):
    for kind in ("full", "spherical"):
        start = reordered(fitted(kind), ORDER)
        found = fitted(covariance_type, start_from=start)
        assert_allclose(found.means_, fitted(covariance_type).means_[ORDER], atol=0.1)
        assert_array_equal(found.match(start), range(K))


@unconverged
def test_a_spherical_start_from_matrices_has_the_mean_of_their_variances():
    rows = some_rows() * [1.0, 100.0]
    start = reordered(fitted("full", rows), ORDER)
    found = fitted("spherical", rows, start_from=start, max_iter=0)
    variances = np.diagonal(start.covariances_, axis1=1, axis2=2)
    assert_allclose(found.covariances_, variances.mean(axis=1), rtol=1e-10)
    # Distances are those of the same components as matrices, whatever the units of columns.
    as_matrices = fitted("full", rows, start_from=found, max_iter=0)
    expected = fitted("full", rows).match(as_matrices)
    assert_array_equal(fitted("full", rows).match(found), expected)
    assert_allclose(as_matrices.covariances_[:, 0, 0], found.covariances_, rtol=1e-10)


@pytest.mark.filterwarnings("ignore:The best number of components")
def test_a_clone_keeps_the_fitted_model_to_start_from():
    start = reordered(fitted(), ORDER)
    model = GaussianMixture(K, start_from=start, random_state=0)
    assert clone(model).start_from is start
    assert model.get_params()["start_from"] is start
    assert cross_val_score(model, some_rows(), cv=2).min() > -20
    selector = clone(GaussianMixtureSelector([2, K], start_from=start, random_state=0))
    best = selector.fit(some_rows()).best_estimator_
    assert_array_equal(best.match(start), range(K))
    assert best.start_from is start


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_of_a_selection_only_candidates_with_as_many_components_start_from_it():
    start = reordered(fitted(), ORDER)
    options = {"random_state": 0, "covariance_type": ("full", "diag")}
    plain = GaussianMixtureSelector([2, 3], **options).fit(some_rows())
    found = GaussianMixtureSelector([2, 3], start_from=start, **options).fit(some_rows())
    other = plain.results_["n_components"] == 2
    assert_array_equal(found.results_["bic"][other], plain.results_["bic"][other])
    assert found.best_params_["n_components"] == 3
    with pytest.raises(ConfigurationError, match="components is 3 in start_from, and 1 here"):
        GaussianMixtureSelector([1, 2], start_from=start).fit(some_rows())


def test_a_warm_start_goes_on_from_the_last_fit_and_first_from_the_model():
    start = reordered(fitted(), ORDER)
    model = GaussianMixture(K, start_from=start, warm_start=True, random_state=0)
    first = model.fit(some_rows(1)).means_
    assert_array_equal(model.match(start), range(K))
    again = model.fit(some_rows(1))
    assert again.n_iter_ == 1
    assert_allclose(again.means_, first, atol=1e-2)


def test_a_saved_model_names_no_model_to_start_from(tmp_path):
    fitted().save(tmp_path / "first.safetensors")
    model = fitted(start_from=tmp_path / "first.safetensors")
    model.save(tmp_path / "second.safetensors")
    assert load(tmp_path / "second.safetensors").start_from is None
    assert b"first.safetensors" not in (tmp_path / "second.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (GaussianMixture(K), ConfigurationError, "start_from is a GaussianMixture that is not fit"),
        (Theirs(K), ConfigurationError, "start_from is a GaussianMixture that is not fitted"),
        (3, InputTypeError, "start_from is 3"),
        ("nowhere.safetensors", MissingInputError, "nowhere"),
    ],
)
def test_what_is_no_fitted_model_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        fitted(start_from=given)


def test_starts_given_twice_or_of_another_shape_are_refused():
    start = fitted()
    with pytest.raises(ConfigurationError, match="given twice"):
        fitted(start_from=start, means_init=start.means_)
    with pytest.raises(ConfigurationError, match="components is 3 in start_from, and 4 here"):
        GaussianMixture(4, start_from=start).fit(some_rows())
    with pytest.raises(ConfigurationError, match="fitted on 2 columns, not on 1"):
        fitted(X=some_rows()[:, :1], start_from=start)
