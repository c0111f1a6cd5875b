"""Figures of a fitted mixture."""

import pickle
import subprocess
import sys
from base64 import b64decode
from copy import copy
from io import BytesIO
from pathlib import Path

import dask.array as da
import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Ellipse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import BayesianGaussianMixture

from daskgmm import GaussianMixture, GaussianMixtureSelector, plotting
from daskgmm.errors import ConfigurationError, OutputError
from daskgmm.model.covariance import COVARIANCES as TYPES
from daskgmm.plotting.figure import PALETTE

COLUMNS = ["width", "height", "depth"]
MEANS = np.array([[0.0, 0.0, 0.0], [8.0, 1.0, -3.0], [0.0, 9.0, 4.0]])
COVARIANCES = np.array(
    [
        [[1.0, 0.6, 0.1], [0.6, 2.0, 0.3], [0.1, 0.3, 0.5]],
        [[3.0, -1.2, 0.0], [-1.2, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.4, 0.0, 0.2], [0.0, 0.4, 0.1], [0.2, 0.1, 1.5]],
    ]
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """150, 300 and 600 rows of three components."""
    rng = np.random.default_rng(0)
    parts = [
        rng.multivariate_normal(mean, covariance, size)
        for mean, covariance, size in zip(MEANS, COVARIANCES, (150, 300, 600), strict=True)
    ]
    return pd.DataFrame(np.concatenate(parts), columns=COLUMNS)


@pytest.fixture(scope="module")
def model(rows: pd.DataFrame) -> GaussianMixture:
    return GaussianMixture(3, random_state=0, refine="none").fit(rows)


def ellipses(ax: Axes) -> list[Ellipse]:
    return [patch for patch in ax.patches if isinstance(patch, Ellipse)]


def full_covariances(model: GaussianMixture) -> np.ndarray:
    """By way of the Cholesky factors of the precisions, which plotting never reads."""
    covariance, factors = TYPES[model.covariance_type], np.asarray(model.precisions_cholesky_)
    axes = np.repeat(np.eye(model.n_features_in_)[:, np.newaxis], model.n_components, axis=1)
    columns = [covariance.precision_times(factors, axis) for axis in axes]
    return np.linalg.inv(np.stack(columns, axis=2))


def test_ellipses_are_the_marginals_contours_at_one_and_two_deviations(rows, covariance_type):
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0, refine="none").fit(
        rows
    )
    ax = plotting.scatter(model, columns=(2, 0))
    drawn = iter(ellipses(ax))
    circle = np.array([np.cos(np.arange(12)), np.sin(np.arange(12))]).T
    for mean, covariance in zip(model.means_, full_covariances(model), strict=True):
        marginal = covariance[np.ix_([2, 0], [2, 0])]
        for deviations in (1, 2):
            ellipse = next(drawn)
            np.testing.assert_allclose(ellipse.center, mean[[2, 0]])
            sides = sorted([ellipse.width, ellipse.height])
            expected = 2 * deviations * np.sqrt(np.linalg.eigvalsh(marginal))
            np.testing.assert_allclose(sides, expected, rtol=1e-6)
            contour = ellipse.get_patch_transform().transform(circle) - mean[[2, 0]]
            distances = np.einsum("ni,ij,nj->n", contour, np.linalg.inv(marginal), contour)
            np.testing.assert_allclose(distances, deviations**2, rtol=1e-6)
    assert next(drawn, None) is None


def test_the_heavier_component_is_the_more_opaque(model):
    opacities = [ellipse.get_alpha() for ellipse in ellipses(plotting.scatter(model))[::2]]
    assert np.argsort(opacities).tolist() == np.argsort(model.weights_).tolist()
    assert max(opacities) == 1


def test_ellipses_and_points_lie_inside_the_view(model, rows):
    ax = plotting.scatter(model, rows)
    for ellipse in ellipses(ax):
        (left, bottom), (right, top) = (
            ellipse.get_extents().transformed(ax.transData.inverted()).get_points()
        )
        assert ax.get_xlim()[0] <= left < right <= ax.get_xlim()[1]
        assert ax.get_ylim()[0] <= bottom < top <= ax.get_ylim()[1]
    assert ax.get_xlim()[0] <= rows["width"].min() < rows["width"].max() <= ax.get_xlim()[1]


def test_points_wear_the_colour_of_their_most_probable_component(model, rows):
    points = plotting.scatter(model, rows, columns=(0, 2)).collections[0]
    order = np.lexsort(points.get_offsets().T)
    expected = np.lexsort(rows.to_numpy()[:, [0, 2]].T)
    np.testing.assert_allclose(
        points.get_offsets()[order], rows.to_numpy()[expected][:, [0, 2]], rtol=1e-12
    )
    colours = np.array([to_rgb(colour) for colour in PALETTE])[model.predict(rows)]
    np.testing.assert_allclose(points.get_facecolors()[order, :3], colours[expected])


def test_given_labels_take_the_place_of_predicted_ones(model, rows):
    points = plotting.scatter(model, rows, labels=np.full(len(rows), 2)).collections[0]
    assert {tuple(colour) for colour in points.get_facecolors()[:, :3]} == {to_rgb(PALETTE[2])}


def test_of_many_rows_a_repeatable_sample_is_drawn(model, rows):
    first, again, other = (
        plotting.scatter(model, rows, max_points=100, random_state=seed).collections[0]
        for seed in (1, 1, 2)
    )
    assert len(first.get_offsets()) == 100
    assert len(np.unique(first.get_offsets(), axis=0)) == 100
    assert np.array_equal(first.get_offsets(), again.get_offsets())
    assert not np.array_equal(first.get_offsets(), other.get_offsets())


def test_columns_by_name_are_those_by_position(model, rows):
    by_name = plotting.scatter(model, rows, columns=("depth", "width"))
    by_position = plotting.scatter(model, rows, columns=(2, 0))
    assert (by_name.get_xlabel(), by_name.get_ylabel()) == ("depth", "width")
    assert by_position.get_xlabel() == "depth"
    assert [e.center for e in ellipses(by_name)] == [e.center for e in ellipses(by_position)]


def test_a_model_without_names_numbers_its_axes(rows):
    model = GaussianMixture(2, random_state=0, refine="none").fit(rows.to_numpy())
    ax = plotting.scatter(model, rows.to_numpy(), columns=(1, 2))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 1", "feature 2")


@pytest.mark.parametrize("column", ["colour", 3, -1])
def test_an_unknown_column_is_named_beside_the_known_ones(model, column):
    with pytest.raises(ConfigurationError, match="width, height, depth") as caught:
        plotting.scatter(model, columns=(0, column))
    assert repr(column) in str(caught.value)


@pytest.mark.parametrize("columns", [(), (0, 1, 2), "width"])
def test_columns_are_one_or_two(model, columns):
    with pytest.raises(ConfigurationError, match="one or two columns"):
        plotting.scatter(model, columns=columns)


@pytest.mark.slow
def test_a_name_with_dollars_is_no_formula(rows, tmp_path):
    dear = rows[["width", "height"]].set_axis(["$_{", "a$b$"], axis=1)
    ax = plotting.scatter(GaussianMixture(1).fit(dear), dear)
    ax.figure.savefig(tmp_path / "dear.png")
    assert ax.get_xlabel() == "$_{"


def test_one_feature_gives_a_histogram_under_densities_that_integrate_to_one(rows):
    width = rows[["width"]]
    model = GaussianMixture(2, random_state=0, refine="none").fit(width)
    ax = plotting.scatter(model, width)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("width", "Density")
    bars = [bar for container in ax.containers for bar in container]
    assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(1)
    areas = {
        line.get_label(): np.trapezoid(line.get_ydata(), line.get_xdata()) for line in ax.lines
    }
    assert areas.pop("sum") == pytest.approx(1, abs=1e-4)
    assert list(areas.values()) == pytest.approx(model.weights_, abs=1e-4)
    total = ax.lines[-1]
    log_density = model.score_samples(pd.DataFrame({"width": total.get_xdata()}))
    np.testing.assert_allclose(total.get_ydata(), np.exp(log_density), rtol=1e-6)


def test_one_column_of_many_shows_its_marginal(model, rows):
    ax = plotting.scatter(model, rows, columns=("height",))
    mean, variance = model.means_[0, 1], full_covariances(model)[0, 1, 1]
    peak = model.weights_[0] / np.sqrt(2 * np.pi * variance)
    assert ax.get_xlabel() == "height"
    assert ax.lines[0].get_ydata().max() == pytest.approx(peak)
    assert ax.lines[0].get_xdata()[100] == pytest.approx(mean)


@pytest.fixture(scope="module")
def ten_and_eleven(rows):
    """Mixtures of ten and of eleven components."""
    return [
        BayesianGaussianMixture(n_components=K, random_state=0, max_iter=1000, tol=1).fit(rows)
        for K in (10, 11)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [(0, 1), (0,)])
def test_a_legend_has_ten_components_and_more_are_numbered(ten_and_eleven, columns):
    few, many = (plotting.scatter(model, columns=columns) for model in ten_and_eleven)
    entries = [text.get_text() for text in few.get_legend().get_texts()]
    assert [entry.split()[0] for entry in entries if entry != "sum"] == [str(k) for k in range(10)]
    assert [text.get_text() for text in few.texts] == []
    assert many.get_legend() is None
    assert [text.get_text() for text in many.texts] == [str(k) for k in range(11)]


@pytest.mark.filterwarnings("ignore:Every mixture that was found has")
@pytest.mark.slow
def test_fifty_components_all_look_different(rows):
    model = GaussianMixture(50, covariance_type="spherical", random_state=0, tol=1).fit(rows)
    looks = {
        (ellipse.get_edgecolor()[:3], str(ellipse.get_linestyle()))
        for ellipse in ellipses(plotting.scatter(model))
    }
    assert len(looks) == 50


def test_convergence_shows_the_bounds_their_changes_and_tol(model):
    ax = plotting.convergence(model)
    changes = ax.figure.axes[1]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), model.lower_bounds_)
    np.testing.assert_array_equal(
        ax.lines[0].get_xdata(), np.arange(1, len(model.lower_bounds_) + 1)
    )
    assert changes.get_yscale() == "log"
    np.testing.assert_allclose(changes.lines[0].get_ydata(), np.abs(np.diff(model.lower_bounds_)))
    assert set(changes.lines[1].get_ydata()) == {model.tol}
    assert ax.get_title() == f"Converged after {len(model.lower_bounds_)} passes"


@pytest.mark.slow
def test_numbers_that_differ_little_stand_on_the_axes_in_full(model):
    course = copy(model)
    course.lower_bounds_ = [-12.1530, -12.1512, -12.1511]
    results = RESULTS.assign(bic=RESULTS["bic"] + 250_000)
    drawn = {"−12.15200": plotting.convergence(course), "250005": plotting.selection(results)}
    for label, ax in drawn.items():
        ax.figure.draw_without_rendering()
        assert label in [tick.get_text() for tick in ax.get_yticklabels()]
        assert ax.yaxis.get_offset_text().get_text() == ""


def test_convergence_shows_the_parameters_changes_where_they_decide(rows):
    model = GaussianMixture(3, stopping="parameters", tol=1e-4, random_state=0, refine="none").fit(
        rows
    )
    changes = plotting.convergence(model).figure.axes[1]
    assert changes.get_ylabel() == "Change of the parameters (dashed: tol 0.0001)"
    drawn = changes.lines[0].get_ydata()
    assert drawn[-1] < 1e-4 < drawn[-2]


@pytest.mark.slow
def test_convergence_of_a_single_pass_has_no_change_to_show(rows, tmp_path):
    with pytest.warns(ConvergenceWarning):
        model = GaussianMixture(3, random_state=0, max_iter=1, tol=0).fit(rows)
    plotting.save(model, tmp_path / "one.png")
    assert plotting.convergence(model).get_title() == "Not converged after 1 pass"


def test_both_draw_on_the_axes_that_they_are_given(model, rows):
    left, right = Figure().subplots(1, 2)
    assert plotting.scatter(model, rows, ax=left) is left
    assert plotting.convergence(model, ax=right) is right


@pytest.mark.slow
def test_a_saved_png_holds_both_panels_and_every_components_colour(model, rows, tmp_path):
    path = tmp_path / "fit.png"
    plotting.save(model, path, rows, columns=("width", "depth"))
    pixels = imread(path)
    height, width, _ = pixels.shape
    assert width > 2 * height > 1000
    middle = 2 * width // 3
    for colour in PALETTE[:3]:
        assert np.isclose(pixels[:, :middle, :3], to_rgb(colour), atol=1 / 255).all(axis=2).any()
    assert np.isclose(pixels[:, middle:, :3], to_rgb(PALETTE[6]), atol=1 / 255).all(axis=2).any()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "start"), [("a.svg", b"<?xml"), ("a.pdf", b"%PDF"), ("a.PNG", b"\x89PNG")]
)
def test_the_ending_chooses_the_format(model, tmp_path, name, start):
    plotting.save(model, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_another_ending_is_refused(model, tmp_path):
    with pytest.raises(ConfigurationError, match=r"fit\.jpeg has no .*\.png, \.svg, \.pdf"):
        plotting.save(model, tmp_path / "fit.jpeg")


@pytest.mark.slow
def test_a_missing_folder_is_an_output_error(model, tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"):
        plotting.save(model, tmp_path / "nowhere" / "fit.png")


def test_a_broken_write_leaves_the_former_figure(model, tmp_path, monkeypatch):
    path = tmp_path / "fit.png"
    path.write_bytes(b"former")

    def half(self: Figure, target: Path, **options: object) -> None:
        target.write_bytes(b"hal")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OutputError, match="No space left on device"):
        plotting.save(model, path)
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unfitted_model_has_no_figure():
    with pytest.raises(NotFittedError):
        plotting.scatter(GaussianMixture())
    with pytest.raises(NotFittedError):
        plotting.convergence(GaussianMixture())


def test_rows_of_other_columns_or_of_dask_are_refused(model, rows):
    with pytest.raises(
        ConfigurationError, match=r"3 columns in memory, not ndarray of shape \(5, 2\)"
    ):
        plotting.scatter(model, np.zeros((5, 2)))
    with pytest.raises(ConfigurationError, match="a computed sample"):
        plotting.scatter(model, da.from_array(rows.to_numpy()))
    with pytest.raises(ConfigurationError, match=r"shape \(3,\) do not fit 1050 rows"):
        plotting.scatter(model, rows, labels=[0, 1, 2])


def test_without_matplotlib_the_remedy_is_the_extra(model, monkeypatch):
    monkeypatch.setattr("daskgmm.errors.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'daskgmm\[plot\]'"):
        plotting.scatter(model)


@pytest.mark.slow
def test_importing_loads_no_matplotlib_and_drawing_no_pyplot(tmp_path):
    script = """
import sys
import numpy as np
from sklearn.mixture import GaussianMixture
from daskgmm import plotting
assert "matplotlib" not in sys.modules
rows = np.random.default_rng(0).normal(size=(99, 2))
plotting.save(GaussianMixture().fit(rows), sys.argv[1], rows)
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, tmp_path / "fit.png"], check=True)
    assert imread(tmp_path / "fit.png").ndim == 3


IN_A_NOTEBOOK = """
import sys
import numpy as np
import pandas as pd
from daskgmm import GaussianMixture, GaussianMixtureSelector, plotting
rows = pd.DataFrame(np.random.default_rng(0).normal(size=(99, 2)), columns=["a", "b"])
model = GaussianMixture(2, tol=1, random_state=0, refine="none").fit(rows)
selector = GaussianMixtureSelector([1, 2], tol=1, random_state=0).fit(rows)
"""
CELLS = (
    "plotting.scatter(model, rows)",
    "plotting.convergence(model)",
    "plotting.selection(selector)",
    "plotting.scatter(model).figure",
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")
@pytest.mark.parametrize("with_pyplot", [False, True])
def test_a_notebook_shows_each_figure_once_and_pyplot_knows_of_none(with_pyplot, tmp_path):
    pyplot = "import matplotlib.pyplot as plt" if with_pyplot else ""
    after = (
        "assert plt.get_fignums() == []"
        if with_pyplot
        else "assert 'matplotlib.pyplot' not in sys.modules"
    )
    cells = [IN_A_NOTEBOOK + pyplot, *CELLS, after]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    nbclient.NotebookClient(book, timeout=200, resources={"metadata": {"path": tmp_path}}).execute()
    for cell in book.cells[1:-1]:
        (output,) = cell.outputs
        picture = imread(BytesIO(b64decode(output.data["image/png"])))
        assert picture.shape == (500, 750, 4)
        assert picture.min() < picture.max()  # there is something on it
    assert book.cells[-1].outputs == []


def test_axes_that_are_given_show_as_they_did(model):
    ax = Figure().add_subplot()
    assert plotting.scatter(model, ax=ax) is ax
    assert not hasattr(ax, "_repr_png_")


def test_figures_go_through_pickle_and_show_themselves_again(model):
    again = pickle.loads(pickle.dumps(plotting.scatter(model)))  # noqa: S301  our own
    assert again._repr_png_().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_a_selector_is_drawn_as_what_it_chose_and_by_what_it_chose(rows, tmp_path):
    selector = GaussianMixtureSelector([2, 3], criterion="icl", tol=1, random_state=0).fit(rows)
    best = selector.best_estimator_
    for draw in (plotting.scatter, plotting.convergence):
        own, chosen = draw(selector), draw(best)
        assert own.get_title() == chosen.get_title()
        assert len(own.lines) == len(chosen.lines) > 0
    assert len(plotting.scatter(selector, rows).collections) == 1
    ax = plotting.selection(selector)
    least = selector.results_["icl"].min()
    assert (ax.get_ylabel(), ax.lines[-1].get_ydata()[0]) == ("ICL", least)
    assert plotting.selection(selector, "bic").get_ylabel() == "BIC"
    plotting.save(selector, tmp_path / "figure.png")
    plotting.save(best, tmp_path / "narrow.png")
    wide, narrow = (imread(tmp_path / name).shape[1] for name in ("figure.png", "narrow.png"))
    assert wide > narrow


@pytest.mark.parametrize("draw", [plotting.scatter, plotting.convergence, plotting.selection])
def test_a_selector_that_was_not_fitted_says_so(draw):
    with pytest.raises(NotFittedError):
        draw(GaussianMixtureSelector())


def test_a_mixture_is_no_selection(model):
    with pytest.raises(ConfigurationError, match="results of a selection"):
        plotting.selection(model)


# --- selections

RESULTS = pd.DataFrame(
    {
        "n_components": [1, 2, 2, 3, 1, 2, 3],
        "covariance_type": [*["full"] * 4, *["diag"] * 3],
        "bic": [9.0, 5.0, 4.0, np.nan, 8.0, 7.0, 3.0],
        "icl": [9.0, 5.0, 6.0, 7.0, 8.0, 7.0, 6.0],
    }
)


def test_a_selection_is_a_line_for_each_type_through_the_best_starts_with_a_ring_at_the_least():
    ax = plotting.selection(RESULTS)
    full, diag, ring = ax.lines
    assert (full.get_xdata().tolist(), full.get_ydata().tolist()) == ([1, 2], [9.0, 4.0])
    assert (diag.get_xdata().tolist(), diag.get_ydata().tolist()) == ([1, 2, 3], [8.0, 7.0, 3.0])
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (3, 3.0)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["full", "diag"]
    assert (ax.get_ylabel(), ax.get_title()) == ("BIC", "Least with 3 components")


def test_a_selection_is_drawn_by_another_criterion_and_from_plain_rows():
    rows = RESULTS.replace({np.nan: None}).to_dict("records")
    ax = plotting.selection(rows, "icl")
    assert ax.get_ylabel() == "ICL"
    assert ax.lines[-1].get_ydata()[0] == 5.0


@pytest.mark.parametrize(("rows", "criterion"), [(RESULTS, "dic"), (RESULTS.iloc[3:4], "bic")])
def test_a_selection_without_the_criterion_is_refused(rows, criterion):
    with pytest.raises(ConfigurationError, match=criterion.upper() if len(rows) == 1 else "dic"):
        plotting.selection(rows, criterion)
