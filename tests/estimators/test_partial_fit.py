"""New rows for a fitted mixture: one step of EM, in one pass."""

import copy
from contextlib import contextmanager
from functools import cache

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.mixture import GaussianMixture as Theirs
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

from daskgmm import GaussianMixture, load, open_dataset
from daskgmm.errors import CollapsedComponentError, ConfigurationError, DataError
from daskgmm.model.covariance import COVARIANCES
from tests.support import reference
from tests.support.rows import separated

KINDS = list(COVARIANCES)
K, D = 3, 2
REG_COVAR = 1e-6
STATE = ("weights_", "means_", "covariances_", "lower_bounds_")

each_kind = pytest.mark.parametrize("kind", KINDS)
nameless = pytest.mark.filterwarnings("ignore:X .*feature names:UserWarning")
needs_extended = pytest.mark.skipif(
    not reference.EXTENDED, reason="no long double wider than a double here"
)


def some_rows(n=300, seed=0, offset=0.0):
    return separated(n, seed, apart=4.0, offset=offset)


def fitted(kind="full", X=None, **options):
    if X is None and not options:
        return copy.deepcopy(usual(kind))
    options = {"covariance_type": kind, "random_state": 0, "tol": 1e-8, "refine": "none"} | options
    return GaussianMixture(K, **options).fit(some_rows() if X is None else X)


@cache
def usual(kind):
    """The fit that most tests begin with, which each updates in a copy of its own."""
    return fitted(kind, some_rows())


def bits(model):
    found = [np.asarray(getattr(model, name)).tobytes() for name in STATE]
    return b"".join([*found, model._moments.sums.tobytes(), model._moments.shared.tobytes()])


def assert_same(model, other, tolerance=1e-11):
    for name in STATE:
        ours, theirs = getattr(model, name), getattr(other, name)
        assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=name)


def start(kind):
    """Parameters that differ from what any of the rows here lead to."""
    other = Theirs(K, covariance_type=kind, random_state=1).fit(some_rows(200, 7))
    return {
        "weights_init": other.weights_,
        "means_init": other.means_ + 0.3,
        "precisions_init": other.precisions_,
    }


@contextmanager
def running(**options):
    """A client of a cluster for the length of a `with` block."""
    from distributed import Client, LocalCluster

    settings = {"dashboard_address": ":0", "threads_per_worker": 1} | options
    with LocalCluster(**settings) as cluster, Client(cluster) as client:
        yield client


# --- what it computes


@each_kind
def test_without_history_it_is_one_step_of_em(kind):
    new = some_rows(200, 1, 0.5)
    model = fitted(kind)
    given = {
        "weights_init": model.weights_,
        "means_init": model.means_,
        "precisions_init": model.precisions_,
    }
    with pytest.warns(match="did not converge"):
        step = GaussianMixture(K, covariance_type=kind, max_iter=1, **given).fit(new)
    model.partial_fit(new, forgetting=0)
    assert_allclose(model.means_, step.means_, rtol=1e-11, atol=1e-12)
    assert_allclose(model.covariances_, step.covariances_, rtol=1e-11, atol=1e-12)
    assert_allclose(model.weights_, step.weights_, rtol=1e-11)
    assert_allclose(model.lower_bound_, step.lower_bound_, rtol=1e-12)


@pytest.mark.parametrize("kind", reference.THEIRS)
@pytest.mark.parametrize("forgetting", [1.0, 0.5])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_batches_add_to_scikit_learns_m_step_on_all_responsibilities(kind, forgetting):
    """Rows keep the responsibilities that they had, and fade with each batch after theirs."""
    batches = [some_rows(n, seed, 0.1 * seed) for seed, n in enumerate([150, 90, 1, 200])]
    given = start(kind)
    ours = GaussianMixture(K, covariance_type=kind, max_iter=0, **given).fit(batches[0])
    ours.set_params(max_iter=1)
    responsibilities = []
    for position, batch in enumerate(batches):
        responsibilities = [forgetting * one for one in responsibilities]
        responsibilities.append(ours.predict_proba(batch))
        if position == 0:
            ours.fit(batch)
        else:
            ours.partial_fit(batch, forgetting=forgetting)
        seen = np.concatenate(batches[: position + 1])
        counted = np.concatenate(responsibilities)
        if kind == "tied":  # theirs divides by the number of rows, which all count alike there
            weights, means, covariances = tied_parameters(seen, counted)
        else:
            counts, means, covariances = _estimate_gaussian_parameters(
                seen, counted, REG_COVAR, kind
            )
            weights = counts / counts.sum()
        assert_allclose(ours.weights_, weights, rtol=1e-11)
        assert_allclose(ours.means_, means, rtol=1e-11, atol=1e-12)
        assert_allclose(ours.covariances_, covariances, rtol=1e-10, atol=1e-12)


def tied_parameters(rows, responsibilities):
    counts = responsibilities.sum(axis=0)
    means = responsibilities.T @ rows / counts[:, np.newaxis]
    scatter = sum(
        ((rows - means[k]).T * responsibilities[:, k]) @ (rows - means[k]) for k in range(K)
    )
    return counts / counts.sum(), means, scatter / counts.sum() + REG_COVAR * np.eye(D)


@each_kind
def test_history_fades_by_the_factor_at_each_call(kind):
    model = fitted(kind)
    for seed, weight in ((1, 250.0), (2, 225.0)):
        model.partial_fit(some_rows(100, seed), forgetting=0.5)
        assert model._moments.weight == weight
    assert model._moments.sums[-1].sum() == pytest.approx(225, rel=1e-12)


@each_kind
def test_the_likelihood_of_the_new_rows_rises(kind):
    model, new = fitted(kind), some_rows(400, 3, 1.0)
    before = model.score(new)
    model.partial_fit(new)
    assert model.lower_bound_ == pytest.approx(before, rel=1e-12)
    assert model.score(new) > before + 0.01


@each_kind
def test_weights_count_rows_as_often(kind):
    new = some_rows(60, 4)
    times = np.random.default_rng(0).integers(0, 4, 60)
    weighted = fitted(kind).partial_fit(new, sample_weight=times)
    repeated = fitted(kind).partial_fit(np.repeat(new, times, axis=0))
    assert_same(weighted, repeated)
    assert weighted.n_rows_ == 360


@each_kind
def test_a_row_at_a_time_adds_up(kind):
    model, rows = fitted(kind), some_rows(5, 5)
    expected = fitted(kind)
    for row in rows:
        model.partial_fit(row[np.newaxis])
    assert model.n_rows_ == 305
    assert model._moments.weight == 305
    # Responsibilities change a little from row to row, and parameters by less than the rows'.
    expected.partial_fit(rows)
    assert_allclose(model.means_, expected.means_, atol=0.01)


# --- however the rows come


def kinds_of_input(rows, folder):
    names = ["a", "b"]
    frame = pd.DataFrame(rows, columns=names)
    for i, part in enumerate((frame[:30], frame[30:])):
        part.to_parquet(folder / f"{i}.parquet", row_group_size=20, index=False)
    frame.to_csv(folder / "rows.csv", index=False, float_format="%.17g")
    ddf = dd.from_pandas(frame, npartitions=3)
    return {
        "numpy": rows,
        "fortran": np.asfortranarray(rows),
        "pandas": frame,
        "polars": pl.DataFrame(rows, schema=names),
        "dask array": da.from_array(rows, chunks=((1, 0, 29, 70), 2)),
        "dask frame": ddf,
        "dask array of unknown chunks": ddf.to_dask_array(),
        "parquet": open_dataset(str(folder / "*.parquet")),
        "csv": open_dataset(str(folder / "rows.csv")),
    }


@each_kind
@nameless
def test_no_kind_of_input_and_no_chunking_changes_more_than_rounding(kind, tmp_path):
    rows = some_rows(100, 6)
    inputs = kinds_of_input(rows, tmp_path)
    expected = fitted(kind).partial_fit(rows)
    for name, X in inputs.items():
        found = fitted(kind).partial_fit(X)
        assert found.n_rows_ == 400, name
        assert_same(found, expected, 1e-12)


@each_kind
def test_the_order_of_rows_changes_no_more_than_rounding(kind):
    rows = some_rows(500, 7)
    assert_same(fitted(kind).partial_fit(rows[::-1]), fitted(kind).partial_fit(rows), 1e-12)


@each_kind
def test_single_precision_rows_and_models_mix(kind):
    rows = some_rows(500, 8)
    double = fitted(kind).partial_fit(rows)
    single = fitted(kind, some_rows().astype(np.float32), tol=1e-4)
    assert single.partial_fit(rows).means_.dtype == np.float32
    assert_allclose(single.means_, double.means_, atol=0.02)
    mixed = fitted(kind).partial_fit(rows.astype(np.float32))
    assert mixed.means_.dtype == np.float64
    assert_allclose(mixed.means_, double.means_, rtol=1e-5, atol=1e-5)
    assert mixed._predictor.dtype is None


CHUNKS = ((3000, 1, 0, 5000, 999), D)


def updated_in_chunks(kind):
    new = da.from_array(some_rows(9000, 9), chunks=CHUNKS)
    return bits(fitted(kind).partial_fit(new, forgetting=0.7))


@each_kind
def test_no_scheduler_changes_a_bit(kind):
    with dask.config.set(scheduler="synchronous"):
        alone = updated_in_chunks(kind)
    assert updated_in_chunks(kind) == alone
    with dask.config.set(scheduler="threads", num_workers=5):
        assert updated_in_chunks(kind) == alone


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of clusters that are torn down under load
def test_no_number_of_workers_changes_a_bit():
    with dask.config.set(scheduler="synchronous"):
        alone = [updated_in_chunks(kind) for kind in KINDS]
    for workers in (1, 2):
        with running(n_workers=workers, processes=False):
            assert [updated_in_chunks(kind) for kind in KINDS] == alone


@each_kind
def test_the_compiled_loop_gives_the_same(kind, monkeypatch):
    rows = some_rows(5000, 10)
    expected = fitted(kind).partial_fit(rows)
    monkeypatch.setattr("daskgmm.passes.cost.FIT_WORTH_COMPILING", 0.0)
    assert_same(fitted(kind).partial_fit(rows), expected)


def test_rows_are_read_once():
    read = []

    def noted(block):
        read.append(len(block))
        return block

    new = da.from_array(some_rows(100, 11), chunks=(25, D)).map_blocks(noted, meta=np.empty((0, 0)))
    for kind in KINDS:
        model = fitted(kind)
        passes = model.n_passes_
        read.clear()
        model.partial_fit(new)
        assert read == [25] * 4
        assert model.n_passes_ == passes + 1


# --- from a file


@each_kind
def test_a_model_from_a_file_goes_on_to_the_bit(kind, tmp_path):
    model = fitted(kind).partial_fit(some_rows(50, 12))
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    for one in (model, again):
        one.partial_fit(some_rows(80, 13), forgetting=0.9)
    assert bits(again) == bits(model)
    assert again.history_[:-1] == model.history_[:-1]


# --- where the new rows are elsewhere


@pytest.mark.slow
@needs_extended
@each_kind
@pytest.mark.parametrize("forgetting", [0.0, 0.25])
@pytest.mark.parametrize("away", [1e2, 1e6])
def test_a_drift_of_many_deviations_keeps_the_digits(kind, forgetting, away):
    """One component of unit width moves as a whole."""
    old, new = some_rows(400)[:, :1] / 2, some_rows(300, 14)[:, :1] / 2 + away
    model = GaussianMixture(1, covariance_type=kind).fit(old)
    model.partial_fit(new, forgetting=forgetting)
    exact = [np.longdouble(rows) for rows in (old, new)]
    weights = np.repeat([forgetting, 1.0], [len(old), len(new)])[:, np.newaxis]
    together = np.concatenate(exact)
    mean = (weights * together).sum() / weights.sum()
    variance = (weights * (together - mean) ** 2).sum() / weights.sum() + REG_COVAR
    assert_allclose(model.means_[0, 0], float(mean), rtol=1e-15)
    assert_allclose(model.covariances_.ravel()[0], float(variance), rtol=1e-9)


@each_kind
def test_where_the_origins_are_too_far_off_rows_are_read_again(kind):
    model = GaussianMixture(1, covariance_type=kind).fit(some_rows())
    passes = model.n_passes_
    model.partial_fit(some_rows(200, 15, 1e5), forgetting=0)
    assert model.n_passes_ == passes + 2
    model.partial_fit(some_rows(200, 16, 1e5), forgetting=0)  # about the means that it has now
    assert model.n_passes_ == passes + 3


@pytest.mark.slow
@each_kind
def test_single_precision_survives_a_drift_of_a_thousand_deviations(kind):
    old, new = (some_rows(500, seed, offset) for seed, offset in ((0, 0.0), (17, 2**10)))
    single = GaussianMixture(1, covariance_type=kind).fit(old.astype(np.float32))
    single.partial_fit(new.astype(np.float32), forgetting=0)
    double = GaussianMixture(1, covariance_type=kind).fit(new)
    assert_allclose(single.covariances_, double.covariances_, rtol=2e-3, atol=2e-3)


@pytest.mark.slow
@needs_extended
@each_kind
def test_two_hundred_updates_on_the_move_lose_nothing(kind):
    """A component that moves a deviation a night, until its frame is far behind."""
    model = GaussianMixture(1, covariance_type=kind).fit(some_rows(200))
    nights = [some_rows(50, seed, float(seed)) for seed in range(1, 201)]
    for night in nights:
        model.partial_fit(night, forgetting=0.5)
    rows = np.longdouble(np.concatenate([some_rows(200), *nights]))
    age = np.concatenate([[200] * 200, np.repeat(np.arange(199, -1, -1), 50)])
    weights = np.longdouble(0.5) ** age
    _, _, mean, covariance = reference.step(
        rows, model._predictor.in_data_units, REG_COVAR, weights
    )
    assert_allclose(model.means_, mean.astype(float), rtol=1e-13)
    assert reference.relative_error(model.covariances_, covariance) < 1e-10


# --- before any fit


@pytest.mark.slow
def test_before_any_fit_it_is_fit():
    rows = some_rows()
    options = {"random_state": 0, "covariance_type": "tied"}
    weights = np.linspace(0.5, 1, len(rows))
    first = GaussianMixture(K, **options).partial_fit(rows, sample_weight=weights)
    assert bits(first) == bits(GaussianMixture(K, **options).fit(rows, sample_weight=weights))


@pytest.mark.parametrize("started", [False, True])
def test_weights_may_be_given_by_position(started):
    rows, weights = some_rows(), np.linspace(0.5, 1, len(some_rows()))
    one, other = (fitted() if started else GaussianMixture(K, random_state=0) for _ in range(2))
    one.partial_fit(rows, weights)
    other.partial_fit(rows, sample_weight=weights)
    assert bits(one) == bits(other) != bits(fitted().partial_fit(rows))


def test_it_goes_on_where_fit_stopped():
    model = fitted().partial_fit(some_rows(50, 1))
    assert_array_equal(model.fit(some_rows()).means_, fitted().means_)


# --- what it tells


def test_the_attributes_tell_of_the_step():
    told = []
    model = fitted(callbacks=[told.append])
    old = {name: getattr(model, name) for name in (*STATE, "n_iter_", "history_", "converged_")}
    del told[:]
    new = some_rows(120, 18).astype(np.float32)
    assert model.partial_fit(new) is model
    assert model.n_iter_ == old["n_iter_"] + 1
    assert model.lower_bounds_ == [*old["lower_bounds_"], model.lower_bound_]
    assert model.converged_ is old["converged_"] is True
    *before, entry = model.history_
    assert before == old["history_"]
    assert list(entry) == list(before[0])
    assert entry["iteration"] == model.n_iter_
    assert entry["lower_bound"] == model.lower_bound_
    assert entry["change"] == model.lower_bound_ - old["lower_bounds_"][-1]
    assert (entry["rows"], entry["bytes_read"]) == (120, 120 * D * 4)
    assert [(state.iteration, state.rows) for state in told] == [(1, 120)]


def test_the_change_is_what_stopping_says():
    model, new = fitted(stopping="parameters"), some_rows(300, 19, 2.0)
    weights, means, covariances = model.weights_, model.means_, model.covariances_
    deviations = some_rows().std(axis=0)
    model.partial_fit(new)
    changes = (
        model.weights_ - weights,
        (model.means_ - means) / deviations,
        (model.covariances_ - covariances) / np.outer(deviations, deviations),
    )
    largest = max(np.abs(change).max() for change in changes)
    assert model.history_[-1]["change"] == pytest.approx(largest, rel=1e-4)


# --- refusals


@pytest.mark.parametrize("forgetting", [-0.1, 1.1, np.nan, "all", None])
def test_forgetting_is_a_share(forgetting):
    for model in (fitted(), GaussianMixture(K)):
        with pytest.raises(ConfigurationError, match="forgetting"):
            model.partial_fit(some_rows(), forgetting=forgetting)


def test_a_model_without_moments_can_only_forget():
    unmoved = GaussianMixture(K, max_iter=0, random_state=0).fit(some_rows())
    theirs = Theirs(K, random_state=0).fit(some_rows())
    for model in (GaussianMixture.from_sklearn(theirs), unmoved):
        with pytest.raises(ConfigurationError, match=r"no moments .* forgetting=0"):
            model.partial_fit(some_rows(50, 1))
        model.partial_fit(some_rows(50, 1), forgetting=0)
        model.partial_fit(some_rows(50, 2))
        assert model._moments.weight == 100


def refusals(folder):
    rows = some_rows(100, 20)
    flawed = rows.copy()
    flawed[[57, 80], 1] = np.nan
    names = ["a", "b"]
    pd.DataFrame(flawed, columns=names).to_parquet(folder / "rows.parquet", row_group_size=50)
    return {
        "row 57": (flawed, {}),
        r"partition 2, row 7, .*row 57 of all": (da.from_array(flawed, chunks=(25, D)), {}),
        r"rows.parquet, row group 1, row 7, column 'b' is NaN .row 57 of all": (
            open_dataset(folder / "rows.parquet"),
            {},
        ),
        "expecting 2 features": (rows[:, :1], {}),
        "names should match": (pd.DataFrame(rows, columns=["b", "a"]), {}),
        "no rows": (da.from_array(rows[:0], chunks=(10, D)), {}),
        "none of positive weight": (rows, {"sample_weight": np.zeros(100)}),
        "sample_weight": (rows, {"sample_weight": np.full(100, -1.0)}),
    }


@pytest.mark.parametrize("kind", ["full", "tied"])
@nameless
def test_what_is_refused_leaves_the_model_as_it_was(kind, tmp_path):
    model = fitted(kind, pd.DataFrame(some_rows(), columns=["a", "b"]))
    before = bits(model)
    for message, (X, options) in refusals(tmp_path).items():
        with pytest.raises(ValueError, match=message), dask.config.set(scheduler="threads"):
            model.partial_fit(X, **options)
        assert bits(model) == before
        assert model.n_rows_ == 300


def test_a_collapse_is_told_and_leaves_the_model_as_it_was():
    model = GaussianMixture(2, random_state=0, reg_covar=0).fit(some_rows())
    before = bits(model)
    with pytest.raises(CollapsedComponentError, match="collapsed"):
        model.partial_fit(np.ones((4, D)), forgetting=0)
    assert bits(model) == before


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_too_large_to_be_squared_are_refused():
    model = fitted()
    with pytest.raises(DataError, match="too large to be squared"):
        model.partial_fit(np.full((5, D), 1e200))
