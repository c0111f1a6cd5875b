"""Figures that lay models over each other, and follow them from night to night."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import date2num
from matplotlib.patches import Ellipse

from daskgmm import GaussianMixture, plotting
from daskgmm.errors import ConfigurationError
from daskgmm.jobs.history.nights import Night

NAMES = ["a", "b", "price ($)"]
CENTRES = np.array([[0, 0, 0], [8, 0, 0], [0, 8, 8]])


def model_of(move, order=(0, 1, 2), names=NAMES):
    """A mixture of three clusters, moved, whose components come in an order."""
    centres = CENTRES[list(order)] + move
    values = np.repeat(centres, 60, axis=0) + np.random.default_rng(0).normal(size=(180, 3))
    starts = centres[:, [NAMES.index(name) for name in names]]
    model = GaussianMixture(3, means_init=starts, random_state=0)
    return model.fit(pd.DataFrame(values, columns=NAMES)[list(names)])


@pytest.fixture(scope="module")
def before():
    return model_of(0)


def ellipses(ax, *, dashed):
    found = [patch for patch in ax.patches if isinstance(patch, Ellipse)]
    return [patch for patch in found if (patch.get_linestyle() == "dashed") is dashed]


def test_the_columns_that_moved_most_are_shown(before):
    ax = plotting.overlay(model_of([0.1, 3, 2]), before)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("b", "price ($)")
    ax = plotting.overlay(model_of([2, 0.1, 3]), before)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "price ($)")


def test_each_component_is_drawn_over_its_like_with_its_number_and_both_weights(before):
    after = model_of([0, 2, 0], order=(2, 0, 1))
    ax = plotting.overlay(after, before, columns=("a", "b"), names=("new", "old"))
    assert ax.get_title() == "new over old (dashed)"
    order = after.match(before)
    assert order.tolist() == [1, 2, 0]
    dashed, drawn = ellipses(ax, dashed=True)[::2], ellipses(ax, dashed=False)[::2]
    for k in range(3):
        np.testing.assert_allclose(dashed[k].center, before.means_[k, :2])
        np.testing.assert_allclose(drawn[k].center, after.means_[order[k], :2])
    arrows = [text for text in ax.texts if text.arrow_patch is not None]
    assert [arrow.xy for arrow in arrows] == [tuple(one.center) for one in drawn]
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert entries == [
        f"{k} ({before.weights_[k]:.1%} → {after.weights_[order[k]]:.1%})" for k in range(3)
    ]


def test_columns_go_by_name_where_their_orders_differ(before):
    after = model_of([0, 2, 0], names=NAMES[::-1])
    ax = plotting.overlay(after, before, columns=("a", "b"))
    for patch, mean in zip(ellipses(ax, dashed=True)[::2], before.means_, strict=True):
        np.testing.assert_allclose(patch.center, mean[:2])


def test_one_column_shows_densities(before):
    ax = plotting.overlay(model_of([0, 2, 0]), before, columns=["b"])
    assert ax.get_ylabel() == "Density"
    assert len([line for line in ax.lines if line.get_linestyle() == "--"]) == 3


@pytest.mark.slow
def test_mixtures_of_other_sizes_have_no_arrows_and_other_columns_are_refused(before):
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(90, 3)), columns=NAMES)
    smaller = GaussianMixture(1, random_state=0).fit(rows)
    ax = plotting.overlay(smaller, before)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("a", "b")
    assert not [text for text in ax.texts if text.arrow_patch is not None]
    with pytest.raises(ConfigurationError, match="2 and 3 columns"):
        plotting.overlay(GaussianMixture(1).fit(rows[NAMES[:2]]), before)
    renamed = rows.rename(columns={"a": "other"})
    with pytest.raises(ConfigurationError, match="the column 'other'"):
        plotting.overlay(GaussianMixture(1).fit(renamed), before)


def night(number, weights, chain=0, shift=None, difference=None, *, reordered=False):
    when = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=number)
    return Night(when, -1.0 - number, weights, chain, shift, reordered, difference)


def test_nights_show_bound_weights_and_shift_against_the_date():
    history = [
        night(0, (0.4, 0.6)),
        night(1, (0.5, 0.5), shift=0.3, reordered=True),
        night(2, (0.2, 0.3, 0.5), chain=1),
    ]
    figure = plotting.nights(history)
    bounds, weights, shifts = figure.axes
    assert bounds.lines[0].get_ydata().tolist() == [-1, -2, -3]
    assert bounds.lines[0].get_xdata().tolist() == [date2num(one.when) for one in history]
    drawn = [line.get_ydata() for line in weights.lines if line.get_linestyle() == "-"]
    assert [list(line) for line in drawn] == [[0.4, 0.5], [0.6, 0.5], [0.2], [0.3], [0.5]]
    dotted = [line for line in weights.lines if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [date2num(history[1].when)]
    np.testing.assert_equal(shifts.lines[0].get_ydata(), [np.nan, 0.3, np.nan])
    assert "nats" in bounds.get_ylabel()
    assert "UTC" in shifts.get_xlabel()


def test_updates_have_a_panel_of_what_they_reported():
    figure = plotting.nights([night(0, (1.0,)), night(1, (1.0,), difference=-0.2)])
    assert len(figure.axes) == 4
    np.testing.assert_equal(figure.axes[3].lines[0].get_ydata(), [np.nan, -0.2])


def test_no_nights_are_refused():
    with pytest.raises(ConfigurationError, match="no nights"):
        plotting.nights([])
