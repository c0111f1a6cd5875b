"""A selection while it runs: what its events, its page and its terminal show of the candidates."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from daskgmm import GaussianMixture, GaussianMixtureSelector
from daskgmm.cli.output.live import LiveView
from daskgmm.monitoring.candidates import (
    LiveCandidate,
    as_rows,
    best_of,
    candidates_in,
    candidates_of,
    curve_lines,
    span,
)
from daskgmm.monitoring.forecast import Forecast
from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.messages import passed
from daskgmm.monitoring.observer import Observer
from daskgmm.monitoring.page.panels.criterion import Criterion
from daskgmm.monitoring.page.view import PageView
from daskgmm.monitoring.phrases import figures_of_event, figures_of_state
from daskgmm.monitoring.schema import is_ours
from tests.support.rows import two_groups


class Recorder(Observer):
    """Keeps what observers are told."""

    def __init__(self):
        self.passes = []

    def start(self, about):
        self.about = about

    def tell(self, made):
        self.passes.append(made)

    def end(self, ending):
        pass


@pytest.fixture(scope="module")
def selection():
    """A selection by the AIC that has ended, and what was told of its passes."""
    recorder = Recorder()
    selector = GaussianMixtureSelector(
        (1, 2, 3), covariance_type=("full", "diag"), criterion="aic", n_init=2, refine="none",
        subsample=None, tol=1e-6, max_iter=500, random_state=0, callbacks=[recorder],
    )  # fmt: skip
    with pytest.warns(UserWarning, match="is the largest that was tried"):
        return selector.fit(two_groups()), recorder


@pytest.mark.slow
def test_the_last_values_are_the_criteria_of_the_end(selection):
    selector, recorder = selection
    found = candidates_of(recorder.passes[-1].state, "aic")
    expected = selector.results_.groupby(["covariance_type", "n_components"]).aic.min()
    assert [(one.covariance_type, one.n_components) for one in found] == list(expected.index)
    np.testing.assert_allclose([one.value for one in found], expected, rtol=1e-6)
    assert not any(one.running for one in found)
    best = best_of(found)
    assert best.n_components == selector.best_params_["n_components"]


@pytest.mark.slow
def test_candidates_go_on_until_all_their_starts_have_stopped(selection):
    _, recorder = selection
    going = []
    for made in recorder.passes:
        found = candidates_of(made.state, "aic")
        alive = {
            (trace.mixture.covariance.name, trace.mixture.n_components)
            for trace in made.state.traces
            if trace.stopped is None
        }
        assert {(one.covariance_type, one.n_components) for one in found if one.running} == alive
        going.append(len(alive))
    assert going[0] == 6
    assert going == sorted(going, reverse=True)
    assert len(set(going)) > 2


def test_the_icl_is_not_known_before_the_end_and_the_bic_stands_for_it(selection):
    state = selection[1].passes[-1].state
    assert candidates_of(state, "icl") == candidates_of(state, "bic")
    lines = curve_lines(candidates_of(state, "icl"), "icl")
    assert all(line.startswith("BIC") for line in lines)


def test_events_have_them_and_watchers_say_what_the_terminal_says(selection):
    _, recorder = selection
    made = recorder.passes[1]
    event = passed(recorder.about, made)
    assert is_ours(event)
    assert event["criterion"] == "aic"
    found = candidates_of(made.state, "aic")
    assert candidates_in(event) == found
    own = [str(one) for one in figures_of_state(made.state, 1e-6, "aic")]
    assert own == [str(one) for one in figures_of_event(event)]
    assert f"{sum(one.running for one in found)} of 6 candidates go on" in own
    assert f"least AIC {best_of(found).value:.2f}" in " ".join(own)


def test_a_fit_of_one_mixture_has_none():
    recorder = Recorder()
    GaussianMixture(2, n_init=2, subsample=None, random_state=0, callbacks=[recorder]).fit(
        two_groups()
    )
    event = passed(recorder.about, recorder.passes[0])
    assert (event["criterion"], event["candidates"]) == (None, None)
    assert candidates_of(recorder.passes[0].state, "bic") == []


@pytest.mark.parametrize(
    "candidates",
    [
        [[0, "full", 1.0, True]],
        [[2, "full", float("nan"), True]],
        [[2, "full", 1.0, 1]],
        [[2, "", 1.0, True]],
        [[2, "full", 1.0]],
        [3],
        "x",
    ],
)
def test_events_with_other_candidates_are_not_ours(selection, candidates):
    _, recorder = selection
    assert not is_ours(passed(recorder.about, recorder.passes[0]) | {"candidates": candidates})


CURVE = [LiveCandidate(k, "full", v, k > 3) for k, v in enumerate([1e6, 20.0, 10.0, 12.0, 15.0], 1)]


def test_a_curve_is_a_bar_for_each_number_and_a_bad_one_does_not_dwarf_the_others():
    assert span(CURVE) == (10.0, 30.0)
    (line,) = curve_lines(CURVE, "bic")
    assert line == "BIC full, K 1..5: █▅▁▁▃, least 10.00 with 3, 2 of 5 go on"
    (line,) = curve_lines(CURVE, "bic", ascii_only=True)
    assert line.isascii()
    collapsed = [replace(CURVE[0], value=None), *CURVE[1:]]
    assert curve_lines(collapsed, "bic")[0].startswith("BIC full, K 1..5:  █▁▂▅, least")
    assert curve_lines([replace(CURVE[0], value=None)], "bic") == []


def test_the_terminal_shows_the_curves(selection):
    state = selection[1].passes[0].state
    forecast = Forecast(1e-6, 500, "aic").after(state)
    file = io.StringIO()
    Console(file=file, width=100).print(LiveView("-", "pass 2", 1.0, forecast=forecast))
    for line in curve_lines(candidates_of(state, "aic"), "aic"):
        assert line in file.getvalue()
    assert len(curve_lines(candidates_of(state, "aic"), "aic")) == 2


def test_the_page_has_a_chart_of_them_for_a_selection_only(selection):
    _, recorder = selection
    panel = Criterion()
    run = FitHistory("a" * 32, heard=0.0)
    panel.show(PageView((run,), run, None, {}, 0.0))
    assert not panel.root.visible
    events = [passed(recorder.about, made) for made in (recorder.passes[0], recorder.passes[-1])]
    fills = []
    for event in events:
        run = run.after(event, 0.0)
        panel.show(PageView((run,), run, None, {}, 0.0))
        assert panel.root.visible
        points = panel._points.data
        assert points["components"] == [1, 2, 3, 1, 2, 3]
        assert points["value"] == [row[2] for row in event["candidates"]]
        fills.append(set(points["fill"]))
    assert fills == [{0.0}, {1.0}]
    assert "AIC of the candidates" in panel._title.text
    assert "0 of 6" in panel._title.text


def test_an_event_has_no_more_than_it_may():
    kinds = ("diag", "full")
    many = [
        replace(CURVE[0], n_components=k, covariance_type=kind)
        for kind in kinds
        for k in range(1, 300)
    ]
    rows = as_rows(many)
    assert len(rows) == 200
    assert max(row[0] for row in rows) == 100
