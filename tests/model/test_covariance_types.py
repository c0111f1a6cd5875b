"""What is registered as a covariance type is everywhere: one file and one line are all it takes."""

import json
import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.mixture import GaussianMixture as Theirs

from daskgmm import GaussianMixture, GaussianMixtureSelector, load, plotting
from daskgmm.errors import ConfigurationError
from daskgmm.model.covariance import COVARIANCES, REGISTRY
from tests.support import tied_diag
from tests.support.paths import IRIS, ROOT

NEW = "tied_diag"


@pytest.fixture
def registered(monkeypatch):
    """The registry with one line more, and the type that it names."""
    for name, line in tied_diag.LINE.items():
        monkeypatch.setitem(REGISTRY, name, line)
    return COVARIANCES[NEW]


def some_rows(n=600, seed=0):
    random = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0, 0.0], [5.0, 0.0, 3.0], [0.0, 6.0, -3.0]])
    return centres[random.integers(0, 3, n)] + random.normal(size=(n, 3)) * [0.5, 1.0, 2.0]


def fitted(X=None, **options):
    options = {"covariance_type": NEW, "random_state": 0} | options
    return GaussianMixture(3, **options).fit(some_rows() if X is None else X)


def as_theirs(model):
    """The same mixture as scikit-learn's, with the shared variances once a component."""
    theirs = Theirs(model.n_components, covariance_type="diag")
    theirs.weights_, theirs.means_ = model.weights_, model.means_
    theirs.covariances_ = np.tile(model.covariances_, (model.n_components, 1))
    theirs.precisions_cholesky_ = np.tile(model.precisions_cholesky_, (model.n_components, 1))
    return theirs


def test_names_in_the_registry_are_those_of_their_types():
    assert {name: one.name for name, one in COVARIANCES.items()} == {
        name: name for name in REGISTRY
    }
    assert COVARIANCES["full"] is COVARIANCES["full"]


def test_names_and_summaries_load_no_library():
    code = (
        "import sys; from daskgmm.model.covariance import COVARIANCES; print(list(COVARIANCES)); "
        "sys.exit('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{list(COVARIANCES)}\n"


# --- a type that is registered


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "hierarchical"])
@pytest.mark.parametrize("acceleration", [None, "squarem"])
def test_a_fit_ends_at_a_maximum_of_the_likelihood(init, acceleration):
    rows = some_rows()
    options = {"init_params": init, "acceleration": acceleration, "reg_covar": 0}
    model = fitted(tol=1e-12, max_iter=5000, **options)
    assert model.covariances_.shape == (3,)
    assert np.diff(model.lower_bounds_).min(initial=0) > -1e-12
    assert_allclose(model.lower_bound_, model.score(rows), rtol=1e-9)
    gamma = model.predict_proba(rows)
    apart = rows[:, np.newaxis] - model.means_
    within = np.einsum("nk,nkd->d", gamma, apart**2) / len(rows)
    assert_allclose(model.means_, gamma.T @ rows / gamma.sum(axis=0)[:, np.newaxis], atol=1e-4)
    assert_allclose(model.covariances_, within, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_predictions_and_criteria_are_scikit_learns_for_the_same_mixture(dtype):
    rows = some_rows().astype(dtype)
    model = fitted(rows)
    theirs, tolerance = as_theirs(model), 1e-10 if dtype == np.float64 else 1e-4
    assert_array_equal(model.predict(rows), theirs.predict(rows))
    assert_allclose(model.predict_proba(rows), theirs.predict_proba(rows), atol=tolerance)
    assert_allclose(model.score_samples(rows), theirs.score_samples(rows), rtol=tolerance)
    fewer = 2 * 3  # scikit-learn counts three variances for each of three components
    assert_allclose(model.aic(rows), theirs.aic(rows) - 2 * fewer, rtol=tolerance)


@pytest.mark.usefixtures("registered")
def test_one_component_is_scikit_learns_with_diagonals():
    rows, weights = some_rows(), np.random.default_rng(1).integers(0, 4, 600)
    repeated = np.repeat(rows, weights, axis=0)
    theirs = Theirs(1, covariance_type="diag").fit(repeated)
    ours = GaussianMixture(1, covariance_type=NEW).fit(rows, sample_weight=weights)
    assert_allclose(ours.covariances_, theirs.covariances_[0], rtol=1e-12)
    assert_allclose(ours.lower_bound_, theirs.lower_bound_, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_chunks_change_nothing_and_what_is_lazy_stays_lazy():
    rows = some_rows()
    X = da.from_array(rows, chunks=((1, 0, 199, 400), 3))
    model, lazy = fitted(rows, tol=1e-6), fitted(X, tol=1e-6)
    assert_allclose(lazy.covariances_, model.covariances_, rtol=1e-9)
    assert_allclose(lazy.score_samples(X).compute(), model.score_samples(rows), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_it_is_updated_saved_loaded_and_drawn_from(tmp_path):
    model = fitted().partial_fit(some_rows(50, 1), forgetting=0.5)
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.covariance_type == NEW
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert_array_equal(getattr(again, name), getattr(model, name))
    X, labels = again.sample(100_000)
    spread = np.stack([X[labels == k].var(axis=0) for k in range(3)])
    assert_allclose(spread, np.tile(model.covariances_, (3, 1)), rtol=0.05)


@pytest.mark.usefixtures("registered")
def test_a_fit_goes_on_from_its_checkpoint(tmp_path):
    class Cut(Exception):  # noqa: N818  no fault
        pass

    def cut(state):
        if state.iteration == 3:
            raise Cut

    options = {
        "checkpoint": tmp_path / "fit",
        "tol": 1e-9,
        "refine": "none",
        "init_params": "random",
    }
    with pytest.raises(Cut):
        fitted(callbacks=[cut], **options)
    assert_array_equal(fitted(**options).means_, fitted(**options | {"checkpoint": None}).means_)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
@pytest.mark.usefixtures("registered")
def test_it_is_selected_where_it_suits_and_all_types_share_the_passes():
    selector = GaussianMixtureSelector((2, 3), covariance_type=list(COVARIANCES), random_state=0)
    selector.fit(some_rows(3000))
    assert selector.best_params_ == {"n_components": 3, "covariance_type": NEW}


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_figures_show_its_variances(tmp_path):
    model = fitted()
    ellipses = plotting.scatter(model, columns=(0, 2)).patches
    widths = {(round(one.width, 6), round(one.height, 6)) for one in ellipses}
    first, last = np.sqrt(model.covariances_[[0, 2]])
    expected = {tuple(np.round(sorted((2 * n * first, 2 * n * last)), 6)) for n in (1, 2)}
    assert {tuple(sorted(one)) for one in widths} == expected
    plotting.save(model, tmp_path / "fit.png", some_rows())


@pytest.mark.slow
@pytest.mark.usefixtures("registered")
def test_precisions_of_another_shape_are_refused_and_so_is_what_scikit_learn_lacks():
    with pytest.raises(ConfigurationError, match="shape of"):
        fitted(precisions_init=np.ones((3, 3)))
    with pytest.raises(ConfigurationError, match="should be positive"):
        fitted(precisions_init=np.array([1.0, -1.0, 1.0]))
    with pytest.raises(ConfigurationError, match=f"has no covariance_type='{NEW}'") as refused:
        fitted().to_sklearn()
    assert refused.value.remedy == "Fit one that it has: full, tied, diag, spherical."


def test_a_name_that_is_not_registered_is_refused_with_those_that_are():
    with pytest.raises(
        ConfigurationError, match=r"is not known\. Use one of: full, tied, diag, sph"
    ):
        fitted()


# --- on the command line

COMMANDS = """
import contextlib, io, json, sys
from daskgmm.model.covariance import REGISTRY
from tests.support.tied_diag import LINE
REGISTRY.update(LINE)
from daskgmm.cli.main import run
said = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = run(command)
    said.append([code, out.getvalue()])
print(json.dumps(said))
"""


@pytest.mark.slow
def test_all_commands_take_it(tmp_path):
    run, chosen, columns = (
        tmp_path / "run",
        tmp_path / "chosen",
        ["--columns", "sepal_length,petal_width"],
    )
    model = ["-k", 3, "--covariance", NEW]
    commands = [
        ["fit", "--help"],
        ["select", "--help"],
        ["config", "fit"],
        ["plan", "--rows", 50_000, "--features", 2, *model],
        ["fit", IRIS, *columns, *model, "--seed", 0, "-o", run, "--plot", tmp_path / "fit.png"],
        ["show", run],
        ["show", run, "--json"],
        ["score", run, IRIS, "--json"],
        ["predict", run, IRIS, "--with", "labels,log-density", "-o", tmp_path / "labels"],
        ["sample", run, "-n", 100, "-o", tmp_path / "drawn"],
        ["update", run, IRIS, "-o", tmp_path / "updated"],
        ["plot", run, IRIS, "-o", tmp_path / "plot.png"],
        ["select", IRIS, *columns, "-k", "1..3", "--covariance", "all", "--seed", 0, "-o", chosen],
    ]
    text = json.dumps([list(map(str, command)) for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, text],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    assert [code for code, _ in said] == [0] * len(commands), done.stderr
    out = [" ".join(text.split()) for _, text in said]
    assert f"[full|tied|diag|spherical|{NEW}]" in out[0]
    assert f"{NEW} (one diagonal matrix for all)" in out[0]
    assert f"spherical, {NEW}, or all" in out[1]
    assert f"covariances, {NEW}, 2" in out[5]
    assert json.loads(said[6][1])["covariance_type"] == NEW
    candidates = json.loads((chosen / "run.json").read_text())["result"]["candidates"]
    assert [one["covariance_type"] for one in candidates].count(NEW) == 3
    assert (tmp_path / "plot.png").stat().st_size > 1000


# --- the laws that hold of every type

LAWS = [
    "model/test_laws.py", "model/test_precision.py", "model/test_compiled.py",
    "model/test_moments_moved.py", "training/test_em.py", "training/test_acceleration.py",
    "estimators/test_fit.py", "estimators/test_partial_fit.py", "estimators/test_extremes.py",
    "estimators/test_scikit_learn.py", "fitting/test_model_file.py", "plotting/test_figures.py",
]  # fmt: skip


@pytest.mark.long
@pytest.mark.slow
def test_the_laws_of_all_types_hold_of_it():
    """But for what scikit-learn asks of a selector, which is of no type."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.tied_diag",
        "-k",
        f"{NEW} and not GaussianMixtureSelector",
        "-m",
        "not slow",
        "-n",
        "0",
        "-q",
    ]
    done = subprocess.run(
        [*command, *(str(ROOT / "tests" / name) for name in LAWS)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 100
