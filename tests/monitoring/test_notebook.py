import threading

import nbclient
import nbformat
import numpy as np
import pytest

from daskgmm import GaussianMixture, GaussianMixtureSelector
from daskgmm.monitoring import notebook
from tests.support.paths import EXAMPLES
from tests.support.rows import two_groups

EXAMPLE = EXAMPLES / "notebook.ipynb"


def rows():
    return two_groups(4_000, 2, apart=2)


class Handle:
    """What IPython would show, and a way to wait until it has been changed."""

    def __init__(self):
        self.shown = []
        self.changed = threading.Event()

    def display(self, picture):
        self.shown.append(picture)

    def update(self, picture):
        self.shown.append(picture)
        self.changed.set()


class Recorded(nbclient.NotebookClient):
    kinds = ()

    def process_message(self, msg, cell, cell_index):
        self.kinds = (*self.kinds, msg["msg_type"])
        return super().process_message(msg, cell, cell_index)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:There is no current event loop:DeprecationWarning")
def test_the_example_runs_headless_and_shows_progress_and_the_estimator():
    example = nbformat.read(EXAMPLE, as_version=4)
    where = {"metadata": {"path": str(EXAMPLE.parent)}}
    client = Recorded(example, timeout=200, resources=where)
    client.execute()
    outputs = [output for cell in example.cells for output in cell.get("outputs", ())]
    assert not [one for one in outputs if one.output_type in ("error", "stream")]
    texts = [one.data["text/html"] for one in outputs if "text/html" in one.get("data", {})]
    bars = [text for text in texts if "<progress" in text]
    assert len(bars) == 2
    assert all("The fit converged after" in bar for bar in bars)
    assert "update_display_data" in client.kinds
    assert any("sk-estimator" in text and "<polyline" in text for text in texts)


@pytest.mark.slow
def test_the_bar_tells_of_passes_while_they_are_made(monkeypatch):
    handle = Handle()
    monkeypatch.setattr(notebook, "observer", lambda: notebook.NotebookObserver(handle))

    def until_seen(state):
        if state.iteration == 4:
            handle.changed.clear()
            assert handle.changed.wait(30)

    model = GaussianMixture(
        2, random_state=0, tol=1e-7, subsample=None, callbacks=[until_seen]
    ).fit(rows())
    assert model.converged_
    first, *between, last = (repr(picture) for picture in handle.shown)
    assert first == "Reading all rows"
    assert any("Pass 5 of at most 100" in text and "tol 1e-07" in text for text in between)
    assert last.startswith("The fit converged after")


def test_nothing_is_shown_over_the_end():
    looking, ended, looked = threading.Event(), threading.Event(), threading.Event()

    class Slow(Handle):
        def update(self, picture):
            of_the_end = threading.current_thread() is threading.main_thread()
            if not of_the_end:
                looking.set()
                assert cell._ended.wait(30)
                ended.wait(0.2)  # in vain, or it would be late
            super().update(picture)
            (ended if of_the_end else looked).set()

    cell = notebook.NotebookObserver(handle := Slow())
    GaussianMixture(2, random_state=0, callbacks=[cell, lambda _: looking.wait(30)]).fit(rows())
    assert looked.wait(30)
    assert repr(handle.shown[-1]).startswith("The fit converged after")


def test_the_bar_tells_why_a_fit_failed():
    handle = Handle()
    cell = notebook.NotebookObserver(handle)
    with pytest.raises(ValueError, match="NaN"):
        GaussianMixture(2, callbacks=[cell]).fit(np.full((50, 2), np.nan))
    assert "The fit failed after 0 passes in" in repr(handle.shown[-1])
    assert "NaN" in handle.shown[-1]._repr_html_()


def test_what_is_shown_is_escaped():
    assert "<b>" not in notebook._Output(0.5, "<b>")._repr_html_()


def test_outside_of_notebooks_nothing_is_shown():
    assert notebook.observer() is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_only_a_fitted_estimator_has_a_course_in_its_picture():
    model = GaussianMixture(2, random_state=0)
    assert "<polyline" not in model._repr_html_()
    assert "<polyline" in model.fit(rows())._repr_html_()
    assert "text/html" in model._repr_mimebundle_()
    selector = GaussianMixtureSelector((1, 2), random_state=0)
    assert "<polyline" not in selector._repr_html_()
    assert "<polyline" in selector.fit(rows())._repr_html_()


@pytest.mark.filterwarnings("ignore:Best performing:sklearn.exceptions.ConvergenceWarning")
def test_a_fit_of_one_pass_has_a_course_too():
    model = GaussianMixture(2, max_iter=1, random_state=0).fit(rows())
    assert "The fit stopped without converging after 1 pass: lower bound" in model._repr_html_()
