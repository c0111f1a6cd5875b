"""Figures of answers that a fitted mixture gives."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from daskgmm import GaussianMixture, plotting
from daskgmm.errors import ConfigurationError, DataError, InputTypeError
from daskgmm.plotting.figure import PALETTE
from tests.support.rows import overlapping

NAMES = ["a", "b", "price ($)"]


@pytest.fixture(scope="module")
def rows():
    return pd.DataFrame(overlapping(400, 3), columns=NAMES)


@pytest.fixture(scope="module")
def model(rows):
    return GaussianMixture(3, random_state=0).fit(rows)


def drawn(ax):
    """Surprises by the labels of their columns, from the lowest line on."""
    labels = [label.get_text() for label in ax.get_yticklabels()]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    return dict(zip(labels, [float(dot.get_xdata()[0]) for dot in dots], strict=True))


@pytest.mark.parametrize("draw", [plotting.merging, plotting.nights, plotting.selection])
def test_what_has_nothing_of_this_to_draw_is_refused_in_words(model, draw):
    wrong = model if draw is not plotting.selection else model.merge(2, criterion="overlap")
    with pytest.raises(InputTypeError, match=r"(path of joins|sequence of nights|no candidates)"):
        draw(wrong)


def test_a_merged_mixture_has_no_course(model):
    with pytest.raises(InputTypeError, match="has no lower_bounds_ to draw"):
        plotting.convergence(model.merge(2, criterion="overlap"))


def test_a_rows_surprises_are_drawn_with_the_odd_column_on_top(model, rows):
    odd = rows[:1].assign(b=40.0)
    ax = plotting.explanation(model, odd)
    found, expected = drawn(ax), model.explain(odd).iloc[0]
    label = {name: f"{name} = {odd[name].iloc[0]:g}" for name in NAMES}
    assert list(found)[-1] == "b = 40"
    for name in NAMES:
        np.testing.assert_allclose(found[label[name]], expected[name], rtol=1e-12)
    assert "nats" in ax.get_xlabel()
    assert "surprise more than usual" in ax.get_title()


@pytest.mark.slow
def test_a_row_of_the_model_itself_is_mostly_usual(model, rows):
    titles = [plotting.explanation(model, rows.iloc[i]).get_title() for i in range(10)]
    assert sum(title.startswith("0 of 3") for title in titles) >= 8


def test_a_row_is_an_array_series_or_frame_in_any_order(model, rows):
    expected = drawn(plotting.explanation(model, rows[:1]))
    given = (rows.iloc[0], rows.iloc[0].to_numpy(), rows[:1].to_numpy(), rows.iloc[0][NAMES[::-1]])
    for row in given:
        assert drawn(plotting.explanation(model, row)) == expected
    assert drawn(plotting.explanation(model.merge(2, "overlap"), rows[:1])) == expected
    assert hasattr(model, "feature_names_in_")
    assert len(drawn(plotting.explanation(model, rows[:1], most=2))) == 2


def test_other_than_one_row_of_numbers_is_refused(model, rows):
    with pytest.raises(ConfigurationError, match=r"shape \(2, 3\)"):
        plotting.explanation(model, rows[:2])
    with pytest.raises(DataError, match="NaN"):
        plotting.explanation(model, rows[:1].assign(a=np.nan))


# --- clusters


def colours(artist):
    return {to_hex(colour) for colour in np.atleast_2d(artist.get_facecolor())}


@pytest.mark.parametrize("criterion", ["entropy", "overlap"])
def test_a_merges_curve_is_its_path_with_the_chosen_number_ringed(model, rows, criterion):
    merged = model.merge(2, criterion, X=rows if criterion == "entropy" else None)
    ax = plotting.merging(merged)
    path = merged.path_.iloc[:, [0, 2]].to_numpy()
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), path)
    assert ax.lines[1].get_xdata()[0] == 2
    assert ax.get_title() == "3 components in 2 clusters"
    assert "nats" in ax.get_ylabel()


def test_components_and_rows_have_the_colours_of_their_clusters(model, rows):
    merged = model.merge(2, "overlap")
    ax = plotting.scatter(merged, rows)
    assert colours(ax.collections[0]) == {PALETTE[c] for c in np.unique(merged.predict(rows))}
    means = [line for line in ax.lines if line.get_marker() == "X"]
    assert [mean.get_color() for mean in means] == [PALETTE[c] for c in merged.clusters_]
    legend = ax.get_legend()
    assert legend.get_title().get_text() == "Cluster"
    shares = np.bincount(merged.clusters_, model.weights_)
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [f"{c} ({share:.1%})" for c, share in enumerate(shares)]


def test_a_histogram_is_stacked_by_cluster(model, rows):
    ax = plotting.scatter(model.merge(2, "overlap"), rows, columns=[1])
    assert len(ax.containers) == 2
