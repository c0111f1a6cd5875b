"""Variational mixtures on the command line."""

import json

import numpy as np
import pandas as pd
import pytest

from daskgmm import BayesianGaussianMixture, load, open_dataset
from daskgmm.jobs.models import describe, find_model
from daskgmm.monitoring.messages import empty
from daskgmm.training.states import Trace
from tests.support.command import here, made

__all__ = ["here"]

OPTIONS = ("--bayesian", "-k", 8, "--seed", 0, "--tol", 0.01, "--concentration", 0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Rows of three clusters, and a run of eight components of which five are empty."""
    folder = tmp_path_factory.mktemp("bayesian")
    random = np.random.default_rng(1)
    rows = random.normal(size=(900, 2)) + 12 * random.integers(0, 3, (900, 1))
    pd.DataFrame(rows, columns=["a", "b"]).to_parquet(folder / "rows.parquet", row_group_size=250)
    assert made("fit", folder / "rows.parquet", *OPTIONS, "-o", folder / "run").code == 0
    return folder


@pytest.mark.slow
def test_the_model_is_the_one_that_python_fits(folder):
    model = load(folder / "run")
    expected = BayesianGaussianMixture(
        n_components=8, random_state=0, tol=0.01, weight_concentration_prior=0.01
    ).fit(open_dataset(folder / "rows.parquet"))
    assert type(model) is BayesianGaussianMixture
    assert (model.means_ == expected.means_).all()
    assert model.lower_bound_ == expected.lower_bound_
    assert model.weight_concentration_prior_ == 0.01


@pytest.mark.slow
def test_how_many_components_hold_rows_is_shown_and_the_page_hears_which_do_not(folder, here):
    done = here("show", folder / "run")
    assert "holding rows  3 of 8 components" in done.out
    assert done.out.count(" empty") == 5
    description = describe(find_model(str(folder / "run")))
    assert description["components_with_rows"] == 3
    model = load(folder / "run")
    bound = model.history_[-1]["lower_bound"]
    assert description["fit"]["lower_bound"] == description["run"]["result"]["lower_bound"] == bound
    found = empty(Trace(model._predictor.mixture, model._moments))
    assert len(found) == 5
    assert model.weights_[found].sum() < 1e-3


def test_runs_are_compared_by_their_bounds_a_row(folder, here):
    twice = folder / "run", folder / "run" / "model.safetensors"
    done = here("runs", "compare", *twice, "--json")
    assert done.code == 0, done.err
    bound = load(folder / "run").history_[-1]["lower_bound"]
    assert [run["lower_bound"] for run in json.loads(done.out)["runs"]] == [bound, bound]


def test_the_record_has_its_priors_and_the_same_command_again_does_nothing(folder, here):
    configuration = json.loads((folder / "run" / "run.json").read_text())["configuration"]
    asked = ("bayesian", "concentration", "concentration_type")
    assert [configuration[name] for name in asked] == [True, 0.01, "dirichlet_process"]
    again = here("fit", folder / "rows.parquet", *OPTIONS, "-o", folder / "run")
    assert "already complete" in again.err
    other = here("fit", folder / "rows.parquet", *OPTIONS[1:-2], "-o", folder / "run")
    assert other.code == 73
    assert "bayesian (True there, None now)" in other.err


def test_its_predictions_are_written(folder, here, tmp_path):
    kinds = ("--with", "labels,probabilities,log-density")
    out = tmp_path / "out"
    assert here("predict", folder / "run", folder / "rows.parquet", "-o", out, *kinds).code == 0
    rows, found = pd.read_parquet(folder / "rows.parquet"), pd.read_parquet(out)
    model = load(folder / "run")
    assert (found["label"] == model.predict(rows)).all()
    np.testing.assert_allclose(found["log_density"], model.score_samples(rows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--concentration", 2), "the mixture has no priors"),
        (("--bayesian", "--acceleration", "squarem"), "mixture does not take acceleration"),
        (("--bayesian", "--noise"), "mixture does not take noise"),
        (("--bayesian", "--prior", "default"), "Leave out --prior, or --bayesian"),
        (("--bayesian", "--concentration", 0), "0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, here, tmp_path, options, message):
    done = here("fit", folder / "rows.parquet", "-k", 2, *options, "-o", tmp_path / "run")
    assert done.code == 2
    assert message in done.err


def test_it_has_no_update(folder, here, tmp_path):
    done = here("update", folder / "run", folder / "rows.parquet", "-o", tmp_path / "run")
    assert done.code == 2
    assert "is a variational mixture, which has no update" in done.err
