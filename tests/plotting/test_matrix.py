"""Figures of many columns: scatter matrix, means side by side, and which columns they show."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.patches import Ellipse

from daskgmm import GaussianMixture, plotting
from daskgmm.errors import ConfigurationError
from daskgmm.plotting.columns import most_telling
from daskgmm.plotting.figure import PALETTE

APART = {"b": 3.0, "d": 30.0, "e": 1.0, "g": 6.0}
"""Distances of the two clusters in some of eight columns, in deviations."""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    units = dict(zip("abcdefgh", 10.0 ** np.arange(1, 9), strict=True))
    return pd.DataFrame(
        {
            name: unit * (random.normal(size=400) + APART.get(name, 0) * labels)
            for name, unit in units.items()
        }
    )


@pytest.fixture(scope="module")
def model(rows) -> GaussianMixture:
    return GaussianMixture(2, covariance_type="diag", random_state=0, refine="none").fit(rows)


def test_columns_that_tell_components_apart_are_shown_whatever_their_units(model, rows):
    assert [list(rows)[position] for position in most_telling(model, 3)] == ["b", "d", "g"]
    ax = plotting.scatter(model)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("d", "g")


@pytest.mark.slow
def test_a_matrix_has_a_pair_beneath_the_diagonal_and_a_density_on_it(model, rows):
    figure = plotting.matrix(model, rows, columns=["a", "d", 6])
    assert len(figure.axes) == 6
    pairs = [ax for ax in figure.axes if any(isinstance(own, Ellipse) for own in ax.patches)]
    assert len(pairs) == 3
    ellipse = next(own for own in pairs[0].patches if isinstance(own, Ellipse))
    assert ellipse.center == pytest.approx(model.means_[0, [0, 3]])
    bottom = [ax for ax in figure.axes if ax.get_xlabel()]
    assert [ax.get_xlabel() for ax in bottom] == ["a", "d", "g"]
    assert [entry.get_text() for entry in figure.legends[0].get_texts()][-1] == "sum"


def test_a_matrix_of_one_feature_is_its_density(rows):
    alone = GaussianMixture(2, random_state=0).fit(rows[["d"]])
    assert len(plotting.matrix(alone, rows[["d"]]).axes) == 1


def test_pairs_in_a_row_share_their_range(model, rows):
    figure = plotting.matrix(model, rows, columns=["a", "b", "c"])
    last = [ax for ax in figure.axes if ax.get_xlabel() in {"a", "b"}]
    assert last[0].get_ylim() == last[1].get_ylim()


@pytest.mark.parametrize("columns", [[], list("abcdefgha"), "ab", ["z"], [8]])
def test_columns_are_known_and_not_too_many(model, columns):
    with pytest.raises(ConfigurationError, match="column"):
        plotting.matrix(model, columns=columns)


def test_profiles_are_means_in_deviations_from_their_columns(model, rows):
    ax = plotting.profiles(model)
    assert [label.get_text() for label in ax.get_xticklabels()] == list(rows)
    lines = [line.get_ydata() for line in ax.get_lines()[:2]]
    expected = (model.means_ - rows.mean().to_numpy()) / rows.std(ddof=0).to_numpy()
    np.testing.assert_allclose(lines, expected, atol=1e-6, rtol=1e-4)


def test_many_profiles_are_a_table_of_all_means():
    random = np.random.default_rng(0)
    many = GaussianMixture(
        12, means_init=random.normal(size=(12, 3)), weights_init=np.full(12, 1 / 12),
        precisions_init=np.stack([np.eye(3)] * 12), tol=1e9,
    ).fit(random.normal(size=(200, 3)))  # fmt: skip
    ax = plotting.profiles(many)
    (image,) = ax.images
    assert image.get_array().shape == (12, 3)
    numbers = sorted(int(label.get_text().split()[0]) for label in ax.get_yticklabels())
    assert numbers == list(range(12))


@pytest.mark.slow
def test_a_saved_figure_of_many_columns_has_all_panels(model, rows, tmp_path):
    plotting.save(model, tmp_path / "figure.png", rows)
    image = imread(tmp_path / "figure.png")[..., :3]
    for colour in PALETTE[:2]:
        assert (np.abs(image - to_rgb(colour)).max(axis=2) < 0.02).any()
    assert image.shape[1] > 2000


def test_bounds_that_differ_by_rounding_look_the_same(model):
    (low, high) = plotting.convergence(model).get_ylim()
    assert high - low >= 1e-5 * abs(model.lower_bound_)


def test_a_curve_that_is_far_off_does_not_flatten_the_best_one():
    values = {"full": (100.0, 90.0, 95.0), "spherical": (5000.0, 4800.0, 4700.0)}
    results = [
        {"covariance_type": kind, "n_components": k, "bic": value}
        for kind, curve in values.items()
        for k, value in enumerate(curve, start=1)
    ]
    ax = plotting.selection(results)
    low, high = ax.get_ylim()
    assert low < 90
    assert 100 < high < 110
    assert ax.texts[0].get_text() == "Above this view: spherical from 4,700"
