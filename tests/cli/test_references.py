"""Runs that start from another run, or are brought in its order: component 3 stays component 3."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import jobs, load
from daskgmm.errors import ConfigurationError, MissingInputError
from daskgmm.estimators.references import reordered
from tests.support.command import here, made
from tests.support.paths import IRIS
from tests.support.rows import separated

__all__ = ["here"]

K = 3
ORDER = [2, 0, 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Rows of two nights, the first night's run, and its model with components in another order."""
    folder = tmp_path_factory.mktemp("references")
    for seed, night in enumerate(("first", "second")):
        frame = pd.DataFrame(separated(600, seed), columns=["a", "b"])
        frame.to_csv(folder / f"{night}.csv", index=False)
    assert made("fit", folder / "first.csv", "-k", K, "--seed", 0, "-o", folder / "run").code == 0
    reordered(load(folder / "run"), np.array(ORDER)).save(folder / "other.safetensors")
    return folder


def record_of(run):
    return json.loads((run / "run.json").read_text())


@pytest.mark.slow
def test_a_fit_is_aligned_to_another_runs_components(folder, tmp_path, here):
    fit = ("fit", folder / "second.csv", "-k", K, "--seed", 5)
    assert here(*fit, "-o", tmp_path / "plain").code == 0
    done = here(*fit, "-o", tmp_path / "run", "--align-to", folder / "other.safetensors")
    assert done.code == 0
    other, found = load(folder / "other.safetensors"), load(tmp_path / "run")
    assert_array_equal(found.match(other), range(K))
    order = load(tmp_path / "plain").match(other)
    assert_array_equal(found.means_, load(tmp_path / "plain").means_[order])
    assert not np.array_equal(order, range(K))


@pytest.mark.slow
def test_a_fit_starts_from_another_run_and_keeps_its_order(folder, tmp_path, here):
    other = folder / "other.safetensors"
    fit = ("fit", folder / "second.csv", "-k", K, "-o", tmp_path / "run", "--start-from", other)
    assert here(*fit).code == 0
    assert_array_equal(load(tmp_path / "run").match(other), range(K))
    again = here(*fit)
    assert (again.code, "nothing was done" in again.err) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "entry"), [("--start-from", "started_from"), ("--align-to", "aligned_to")]
)
def test_the_record_tells_which_run_and_another_one_is_another_fit(
    folder, tmp_path, here, option, entry
):
    out = tmp_path / "run"
    fit = ("fit", folder / "second.csv", "-k", K, "-o", out, "--seed", 1)
    assert here(*fit, option, folder / "run").code == 0
    there, found = record_of(folder / "run"), record_of(out)
    assert found[entry] == {"run_id": there["run_id"], "model_sha256": there["model_sha256"]}
    assert found["configuration"][option[2:].replace("-", "_")] == there["model_sha256"]
    assert f"{entry.replace('_', ' ')} run  " in here("show", out).out.replace("     run", " run")
    # The content counts: the run's model file is the same model.
    assert here(*fit, option, folder / "run" / "model.safetensors").code == 0
    for changed in ((), (option, folder / "other.safetensors")):
        done = here(*fit, *changed)
        assert done.code == 73
        assert option[2:].replace("-", "_") in done.err


@pytest.mark.slow
def test_a_selection_starts_from_a_run_and_is_aligned_to_it(folder, tmp_path, here):
    other = folder / "other.safetensors"
    select = ("select", folder / "second.csv", "-k", "2..4", "--seed", 0)
    for number, option in enumerate(("--start-from", "--align-to")):
        out = tmp_path / str(number)
        assert here(*select, "-o", out, option, other).code == 0
        assert record_of(out)["result"]["components"] == K
        assert_array_equal(load(out).match(other), range(K))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_a_selection_of_another_number_keeps_its_own_order(folder, tmp_path, caplog):
    two = jobs.fit(folder / "first.csv", tmp_path / "two", components=2, seed=0)
    with caplog.at_level(logging.WARNING, "daskgmm"):
        jobs.select(
            folder / "second.csv", tmp_path / "run", components=[2, 3], align_to=two["run"], seed=0
        )
    assert "has 3 components" in caplog.text
    assert load(tmp_path / "run").n_components == 3


@pytest.mark.parametrize("option", ["start_from", "align_to"])
def test_an_update_keeps_another_models_order(folder, tmp_path, option):
    other = folder / "other.safetensors"
    record = jobs.update(folder / "run", folder / "second.csv", tmp_path / "run", **{option: other})
    found = load(tmp_path / "run")
    assert_array_equal(found.match(other), range(K))
    expected = load(folder / "run").partial_fit(pd.read_csv(folder / "second.csv"))
    assert_allclose(found.means_, expected.means_[ORDER], rtol=1e-9)
    assert_allclose(
        [one["weight_after"] for one in record["drift"]["components"]], found.weights_, rtol=1e-12
    )
    assert found.n_rows_ == 1200


@pytest.mark.slow
def test_an_update_takes_the_first_responsibilities_from_the_model_to_start_from(folder, tmp_path):
    moved = jobs.fit(folder / "second.csv", tmp_path / "moved", components=K, seed=3)
    record = jobs.update(
        folder / "run", folder / "second.csv", tmp_path / "run", start_from=moved["run"]
    )
    rows = pd.read_csv(folder / "second.csv")
    found = record["drift"]["mean_log_likelihood"]
    assert found == pytest.approx(load(tmp_path / "moved").score(rows), abs=1e-12)


@pytest.mark.parametrize("option", ["start_from", "align_to"])
def test_models_that_do_not_fit_are_refused_before_any_work(folder, tmp_path, option):
    def fit(components=K, **options):
        jobs.fit(folder / "first.csv", tmp_path / "run", components=components, **options)

    flag = f"--{option.replace('_', '-')}"
    with pytest.raises(ConfigurationError, match=f"components is 3 in {flag} .*, and 4 here"):
        fit(4, **{option: folder / "run"})
    with pytest.raises(ConfigurationError, match=f"{flag} .* was fitted on 2 columns, not on 1"):
        fit(columns=["a"], **{option: folder / "run"})
    with pytest.raises(MissingInputError, match="nowhere"):
        fit(**{option: "nowhere.safetensors"})
    assert not (tmp_path / "run").exists()


def test_columns_may_be_in_another_order(folder, tmp_path):
    other, out = folder / "other.safetensors", tmp_path / "run"
    jobs.fit(folder / "first.csv", out, components=K, columns=["b", "a"], start_from=other)
    assert_array_equal(load(out).match(other), range(K))
    assert_allclose(load(out).means_[:, ::-1], load(other).means_, atol=0.01)


@pytest.mark.slow
def test_components_of_another_run_stay_while_others_are_learned_beside_them(tmp_path, here):
    known, path = tmp_path / "known", tmp_path / "run"
    fit = ("fit", IRIS, "--columns", "sepal_length,petal_length", "--seed", 0)
    assert here(*fit, "-k", 2, "-o", known).code == 0
    fixed = ("--fix", "means,covariances", "--fix-from", known)
    done = here(*fit, "-k", 3, *fixed, "-o", path)
    assert done.code == 0, done.err
    found, expected = load(path), load(known)
    assert_allclose(found.means_[:2], expected.means_, rtol=1e-12)
    assert_allclose(found.covariances_[:2], expected.covariances_, rtol=1e-9)
    record = json.loads((path / "run.json").read_text())
    assert record["fixed_from"]["run_id"] == json.loads((known / "run.json").read_text())["run_id"]
    for wrong in (
        ("--fix", "means"),
        ("--fix-from", known),
        ("--fix", "shapes", "--fix-from", known),
        ("--fix", "weights", "--fix-from", known),
    ):
        assert here(*fit, "-k", 3, *wrong, "-o", tmp_path / "other").code == 2


@pytest.mark.slow
def test_a_prior_and_noise_are_options_of_a_selection_too(tmp_path, here):
    path = tmp_path / "run"
    done = here("select", IRIS, "--columns", "sepal_length,petal_length", "-k", "1..3", "--seed", 0,
                "--prior", "default", "--noise", "-o", path)  # fmt: skip
    assert done.code == 0, done.err
    found = load(path)
    assert found.prior == "default"
    assert found.noise is True
