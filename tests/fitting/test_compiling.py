"""Compiling the loop of passes while the first of them reads the rows."""

from threading import Event

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.fitting import fit, settings


@pytest.fixture
def rows(monkeypatch):
    """Rows (2000, 2) whose passes are worth a compiled loop."""
    monkeypatch.setattr(settings, "FIT_WORTH_COMPILING", 0.0)
    return np.random.default_rng(0).standard_normal((2000, 2))


def test_the_loop_is_compiled_while_the_first_pass_reads(rows, monkeypatch):
    began, read = Event(), Event()
    reading, compiling = fit.surveyed, fit.compile_ahead

    def survey(*given):
        assert began.wait(60)
        found = reading(*given)
        read.set()
        return found

    def compile_ahead(*given):
        began.set()
        assert read.wait(60)
        compiling(*given)

    monkeypatch.setattr(fit, "surveyed", survey)
    monkeypatch.setattr(fit, "compile_ahead", compile_ahead)
    model = GaussianMixture(2, random_state=0).fit(rows)
    assert model.converged_


def test_a_compiler_that_fails_in_the_background_says_nothing_there(rows, monkeypatch):
    """Whoever calls the loop meets the error again, or finds it compiled."""
    expected = GaussianMixture(2, random_state=0).fit(rows)

    def compile_ahead(*given):
        raise OSError(given)

    monkeypatch.setattr(fit, "compile_ahead", compile_ahead)
    model = GaussianMixture(2, random_state=0).fit(rows)
    np.testing.assert_array_equal(model.means_, expected.means_)
