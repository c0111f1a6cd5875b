"""Jobs called from Python: plain values in and out, nothing on the screen."""

from dataclasses import replace
from pathlib import Path

import pytest

from daskgmm.data.places import Place
from daskgmm.errors import ConfigurationError, DataError, MissingInputError, OutputError
from daskgmm.jobs.cluster import Resources
from daskgmm.jobs.events import Silence
from daskgmm.jobs.fitting import FitRequest, carry_out
from daskgmm.jobs.inputs import Inputs
from daskgmm.jobs.methods import Mixture
from daskgmm.jobs.models import find_model
from daskgmm.jobs.predicting import PredictRequest, write_predictions
from daskgmm.jobs.runs import Run
from daskgmm.jobs.scoring import evaluate

IRIS = Path(__file__).parents[1] / "examples" / "data" / "iris.csv"
INPUTS = Inputs((str(IRIS),), ("sepal_length", "sepal_width"))


@pytest.fixture
def request_(tmp_path):
    return FitRequest(INPUTS, str(tmp_path / "run"), Mixture(3, seed=0))


class Ear(Silence):
    """Notes what it hears."""

    def __init__(self):
        self.heard = []

    def start(self, start):
        self.heard.append(start)

    def tell(self, state):
        self.heard.append(state.iteration)


def test_fit_score_and_predict_say_nothing(request_, tmp_path, capfd):
    outcome = carry_out(request_)
    model = find_model(request_.output).fitted
    scores = evaluate(model, INPUTS)
    written = write_predictions(
        model, PredictRequest(INPUTS, str(tmp_path / "out"), ("log-density",))
    ).plain()
    assert outcome.run == Run.at(Place.of(request_.output, {}))
    assert scores.rows == written["rows"] == 150
    assert written["columns"] == ["log_density"]
    assert capfd.readouterr() == ("", "")


def test_a_listener_hears_the_start_and_each_pass(request_):
    ear = Ear()
    outcome = carry_out(request_, ear)
    start, *passes = ear.heard
    assert (start.n_features, start.place) == (2, "in this process")
    assert passes == list(range(1, outcome.run.record["result"]["n_iter"] + 1))


def test_a_complete_run_is_found_again(request_):
    first, second = carry_out(request_), carry_out(request_)
    assert (first.already, second.already) == (False, True)
    assert first.run == second.run
    unseeded = replace(request_, method=Mixture(3))
    assert carry_out(unseeded).already


def test_failures_are_our_own_exceptions(request_):
    def attempt(**changes):
        carry_out(replace(request_, **changes))

    with pytest.raises(MissingInputError):
        attempt(inputs=Inputs(("nope.csv",)))
    with pytest.raises(DataError):
        attempt(inputs=Inputs((str(IRIS),)))
    with pytest.raises(OutputError):
        attempt(output="/nowhere/run")
    for mixture in (Mixture(0), Mixture(2, covariance="round"), Mixture(2, init="luck")):
        with pytest.raises(ConfigurationError):
            attempt(method=mixture)


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"threads": -1}, {"memory_limit": "x"}])
def test_resources_are_checked_when_they_are_named(wrong):
    with pytest.raises(ConfigurationError):
        Resources(**wrong)


def test_storage_options_are_never_shown():
    assert "hunter2" not in repr(Inputs(("a",), storage_options={"secret": "hunter2"}))
