"""select, and what show and plot make of its run."""

import json

import pandas as pd
import pytest

from daskgmm import GaussianMixture, GaussianMixtureSelector, load, open_dataset
from daskgmm.model.covariance import COVARIANCES
from tests.support.command import here, in_process, made
from tests.support.paths import IRIS

__all__ = ["here"]

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
SELECT = ("select", IRIS, "--columns", ",".join(COLUMNS), "-k", "1..3", "--seed", 0)


def result(path):
    return json.loads((path / "run.json").read_text())["result"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A complete run, and what its command said."""
    path = tmp_path_factory.mktemp("runs") / "run"
    return path, made(*SELECT, "--covariance", "all", "-o", path)


@pytest.fixture(scope="module")
def expected():
    selector = GaussianMixtureSelector(
        (1, 2, 3), covariance_type=tuple(COVARIANCES), random_state=0
    )
    return selector.fit(open_dataset(IRIS, columns=COLUMNS))


@pytest.mark.slow
def test_a_selection_leaves_the_run_directory_of_its_best_model(done, expected):
    path, said = done
    assert said.code == 0
    assert sorted(one.name for one in path.iterdir()) == ["model.safetensors", "run.json"]
    model = load(path / "model.safetensors")
    assert model.means_.tobytes() == expected.best_estimator_.means_.tobytes()
    assert list(model.feature_names_in_) == COLUMNS
    assert model.get_params()["n_components"] == 2


@pytest.mark.slow
def test_the_record_tells_of_all_candidates(done, expected):
    found = result(done[0])
    pd.testing.assert_frame_equal(
        pd.DataFrame(found["candidates"]), expected.results_, check_exact=True
    )
    assert found["best"] == expected.best_index_
    assert found["criterion"] == "bic"
    assert found["n_passes"] == expected.n_passes_
    assert found["rows_read"] == found["rows"] * found["n_passes"]
    assert (found["components"], found["converged"]) == (2, True)


def test_the_table_is_printed_with_the_best_starred_and_all_else_is_no_result(done, expected):
    _, said = done
    lines = said.out.splitlines()
    assert lines[0].split()[:4] == ["K", "covariance", "start", "lower"]
    end = 2 + 3 * len(COVARIANCES)  # and an empty line below the five best
    starred = [line.split() for line in lines[1:end] if line.startswith("*")]
    best = expected.results_.loc[expected.best_index_]
    assert starred == [
        ["*", "2", "full", "0", f"{best.lower_bound:.6f}", f"{best.bic:.2f}", f"{best.aic:.2f}",
         f"{best.icl:.2f}", str(best.n_iter)]
    ]  # fmt: skip
    assert lines[end] == "* the least BIC; the 5 best come first"
    shown = [line.split()[-8:] for line in lines[1:6]]
    ordered = expected.results_.sort_values("bic")
    assert [float(row[4]) for row in shown] == ordered.bic[:5].round(2).tolist()
    assert lines[6] == ""
    rest = [line.split()[:2] for line in lines[7:end]]
    others = expected.results_.drop(ordered.index[:5])
    assert rest == [[str(one.n_components), one.covariance_type] for one in others.itertuples()]
    assert "mean sepal_length" in said.out
    assert "Fitting rows of 4 columns in this process." in said.err
    assert "the least BIC" not in said.err
    assert "0 of 12 candidates go on" in said.err


def test_the_same_command_again_does_nothing_and_another_is_refused(done, here):
    path, said = done
    again = here(*SELECT, "--covariance", ",".join(COVARIANCES), "-o", path)
    assert again.code == 0
    assert again.err == f"{path} is already complete: nothing was done.\n"
    assert again.out == said.out
    other = here(*SELECT, "--covariance", "all", "--criterion", "icl", "-o", path)
    assert other.code == 73
    assert "criterion (bic there, icl now)" in other.err
    other = here("fit", *SELECT[1:4], "-k", 2, "--seed", 0, "-o", path)
    assert other.code == 73
    assert "components (1,2,3 there, 2 now)" in other.err


def test_a_run_is_shown_with_its_candidates(done, here):
    path, said = done
    text = here("show", path).out
    table = "\n".join(said.out.splitlines()[:15])
    assert table in text
    found = json.loads(here("show", path, "--json").out)
    assert found["run"]["result"]["candidates"] == result(path)["candidates"]


@pytest.mark.slow
def test_a_run_is_drawn_with_its_criterion(done, here, tmp_path):
    from matplotlib.image import imread

    path, _ = done
    assert here("plot", path, "-o", tmp_path / "run.png").code == 0
    model = path / "model.safetensors"
    assert here("plot", model, "-o", tmp_path / "model.png").code == 0
    widths = [imread(tmp_path / name).shape[1] for name in ("run.png", "model.png")]
    assert widths[0] > widths[1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_options_reach_the_selector(tmp_path, here):
    options = ("--criterion", "icl", "--covariance", "diag,tied", "--n-init", 2, "--tol", 0.01)
    more = (
        "--init",
        "random_from_data",
        "--max-iter",
        50,
        "--subsample",
        "none",
        "--refine",
        "none",
    )
    path = tmp_path / "run"
    done = here(
        *SELECT, *options, *more, "--reg-covar", 1e-4, "--plot", tmp_path / "run.svg", "-o", path
    )
    assert done.code == 0
    assert "* the least ICL" in done.out
    assert "<!-- ICL -->" in (tmp_path / "run.svg").read_text()
    selector = GaussianMixtureSelector(
        (1, 2, 3), covariance_type=("diag", "tied"), criterion="icl", n_init=2, tol=0.01,
        init_params="random_from_data", max_iter=50, subsample=None, refine="none",
        reg_covar=1e-4, random_state=0,
    ).fit(open_dataset(IRIS, columns=COLUMNS))  # fmt: skip
    found = pd.DataFrame(result(path)["candidates"])
    pd.testing.assert_frame_equal(found, selector.results_, check_exact=True)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("3", (3,)), ("1..4", (1, 2, 3, 4)), ("1,2,5", (1, 2, 5)), ("5, 1..2,2..3", (5, 1, 2, 3))],
)
def test_numbers_of_components_are_read(text, numbers):
    from daskgmm.cli.commands.select import numbers as read

    assert read(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "0..2", "3..1", "1..", "..3", "a", "1.5", "-1", "1,,2"])
def test_other_numbers_are_wrong_usage(text, here):
    said = here("select", IRIS, f"--components={text}", "-o", "never")
    assert said.code == 2
    assert repr(text) in said.err


def test_an_unknown_covariance_type_is_wrong_usage(here):
    said = here("select", IRIS, "-k", 1, "--covariance", "full,round", "-o", "never")
    assert said.code == 2
    assert "'round' is none of all, full, tied, diag, spherical" in said.err


@pytest.mark.slow
def test_a_collapsed_candidate_is_told_and_the_others_are_kept(tmp_path, here):
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n" + "0,1\n1,0\n5,5\n9,2\n" * 20)
    path = tmp_path / "run"
    done = here("select", rows, "-k", "1,4", "--reg-covar", 0, "-o", path)
    assert done.code == 0
    assert done.out.splitlines()[2].endswith("collapsed")
    assert [one["bic"] is None for one in result(path)["candidates"]] == [False, True]
    shown = here("show", path)
    assert "collapsed" in shown.out
    assert here("plot", path, "-o", tmp_path / "run.png").code == 0


def test_failures_have_their_codes(tmp_path, here):
    path = tmp_path / "run"
    few = here(*SELECT, "-k", "1,500", "-o", path)
    assert few.code == 65
    assert "n_components = 500, n_samples = 150" in few.err
    assert here("select", tmp_path / "nope.csv", "-k", "1,2", "-o", path).code == 66
    slow = here(*SELECT, "--max-iter", 1, "--tol", 0, "--require-convergence", "-o", path)
    assert slow.code == 3
    assert "not converged" in slow.out


@pytest.mark.slow
def test_a_selection_on_an_embedded_cluster_is_the_same(done, tmp_path):
    path = tmp_path / "run"
    said = in_process(*SELECT, "--covariance", "all", "--workers", 2, "-o", path)
    assert said.code == 0
    assert "on an embedded cluster of 2 workers" in said.err
    assert result(path)["candidates"] == result(done[0])["candidates"]
    one, other = (load(each / "model.safetensors") for each in (path, done[0]))
    assert one.covariances_.tobytes() == other.covariances_.tobytes()


def test_the_model_of_a_run_scores_as_its_record_tells(done, here):
    path, _ = done
    scored = json.loads(here("score", path, IRIS, "--json").out)
    found = result(path)
    best = found["candidates"][found["best"]]
    assert {name: scored[name] for name in ("bic", "aic", "icl")} == {
        name: pytest.approx(best[name], rel=1e-13) for name in ("bic", "aic", "icl")
    }
    assert isinstance(load(path / "model.safetensors"), GaussianMixture)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_a_candidate_that_ended_below_a_smaller_one_is_told_of(tmp_path, here):
    asked = (*SELECT[:5], "1..8", "--seed", 0, "--criterion", "aic", "--refine", "none")
    asked = (*asked, "-o", tmp_path / "run")
    expected = "warning: K = 7 (full) ended below K = 6: its start was poor. Try --n-init 10, or"
    assert [line for line in here(*asked).err.splitlines() if line.startswith(expected)]
