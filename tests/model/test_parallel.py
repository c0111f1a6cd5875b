"""Parts of a computation on threads: their order, their errors, and how many threads there are."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.model import parallel
from daskgmm.model.assignment import moments_of_clusters
from daskgmm.model.frame import Frame
from daskgmm.model.parallel import (
    FEWEST_ROWS,
    MOST_PARTS,
    Lender,
    Turns,
    each,
    helped,
    parts_of_rows,
    slices_of_components,
)
from daskgmm.model.screening import directions
from daskgmm.training.refinement.spurious import spurious
from tests.support.mixtures import random_mixture

EPSILON = float(np.finfo(np.float64).eps)

SECONDS = 30
"""After so long without the others a thread gives up."""


def with_threads(threads, function):
    """What a function returns where it has so many threads, its own among them."""
    with helped(Lender(), lambda: threads - 1):
        return function()


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_results_are_in_the_order_of_the_parts(threads):
    found = with_threads(threads, lambda: each(lambda part: part**2, range(100)))
    assert found == [part**2 for part in range(100)]


@pytest.mark.parametrize("threads", [2, 8])
def test_as_many_threads_work_at_a_time_as_are_free(threads):
    together = threading.Barrier(threads)

    def part(_):
        together.wait(SECONDS)  # each part waits for as many others
        return threading.get_ident()

    found = with_threads(threads, lambda: each(part, range(threads)))
    assert len(set(found)) == threads


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_error_is_that_of_the_first_part_that_fails(threads):
    def part(index):
        if index % 10 == 7:
            raise ValueError(index)

    with pytest.raises(ValueError, match=r"^7$"):
        with_threads(threads, lambda: each(part, range(40)))


def test_after_an_error_threads_are_given_back():
    lender, together = Lender(), threading.Barrier(2)

    def part(_):
        together.wait(SECONDS)
        raise ValueError

    with helped(lender, lambda: 1):
        for _ in range(3):
            with pytest.raises(ValueError):  # noqa: PT011  the one above
                each(part, range(2))
        assert lender.borrow(5, 1) == 1


def test_an_interrupt_ends_the_work():
    done = []

    def part(index):
        if index == 1 and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        done.append(index)

    with pytest.raises(KeyboardInterrupt), helped(Lender(), lambda: 0):
        each(part, range(9))
    assert done == [0]


def test_computations_share_the_threads_that_are_free():
    """Two of them, where one more thread is free: never more than three are at work."""
    lender, changed, at_work, peak = Lender(), threading.Condition(), [0], [0]

    def part(_):
        with changed:
            at_work[0] += 1
            peak[0] = max(peak[0], at_work[0])
            changed.notify_all()
            assert changed.wait_for(lambda: peak[0] >= 2, SECONDS)
        np.linalg.eigvalsh(np.eye(60))
        with changed:
            at_work[0] -= 1

    def computation(_):
        with helped(lender, lambda: 1):
            for _ in range(20):
                each(part, range(8))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(computation, range(2)))
    assert peak[0] <= 3


def test_parts_within_parts_need_no_further_threads():
    def outer(index):
        return sum(each(lambda part: index * part, range(10)))

    found = with_threads(3, lambda: each(outer, range(10)))
    assert found == [45 * index for index in range(10)]


def test_parts_see_what_the_caller_has_set_for_numpy():
    def part(_):
        return np.float64(1) / np.float64(0)

    with np.errstate(divide="ignore"):
        assert with_threads(8, lambda: each(part, range(50))) == [np.inf] * 50


def test_a_block_leaves_no_threads_behind():
    before = set(threading.enumerate())
    copy_context().run(with_threads, 8, lambda: each(np.sqrt, range(50)))
    assert set(threading.enumerate()) <= before


# --- what parts are


def test_parts_take_turns_with_no_more_than_there_are_threads():
    made, turns = [], Turns()

    def part(number):
        with turns.one(lambda: made.append(number) or [number]) as own:
            return own[0]

    found = with_threads(3, lambda: each(part, range(50)))
    assert set(found) == set(made)
    assert len(made) <= 3


def test_what_an_error_left_half_done_is_not_lent_again():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.one(list) as broken:
        1 / 0  # noqa: B018
    with turns.one(list) as other:
        assert other is not broken
    with turns.one(list) as again:
        assert again is other


@given(st.integers(1, 10**7), st.floats(1, 1e13), st.floats(1, 1e8), st.integers(1, 1000))
def test_parts_are_all_rows_in_order_and_a_power_of_two(n_rows, work, values, n_features):
    parts = parts_of_rows(n_rows, work, values, n_features)
    assert parts[0].start == 0
    assert parts[-1].stop == n_rows
    assert all(one.stop == other.start for one, other in pairwise(parts))
    assert len(parts) in {1, 2, 4, MOST_PARTS}
    if len(parts) > 1:
        assert n_rows >= FEWEST_ROWS * len(parts)
        assert values * len(parts) <= 2 * n_rows * n_features


@given(st.integers(1, 5000), st.integers(1, 400))
def test_slices_are_all_components_in_order(n_components, n_features):
    slices = slices_of_components(n_components, n_features)
    found = np.concatenate([np.arange(n_components)[own] for own in slices])
    np.testing.assert_array_equal(found, np.arange(n_components))


@pytest.mark.parametrize("n_features", [1, 3, 40])
@pytest.mark.parametrize("most", [2, 16])
def test_components_are_the_same_in_any_slices(covariance, n_features, most, monkeypatch):
    def made():
        mixture = random_mixture(covariance, 40, n_features)
        factors = mixture.factors
        rows = np.random.default_rng(0).normal(size=(n_features, 3000))
        moments = moments_of_clusters(
            np.arange(3000) % 40, 40, rows, None, Frame.identity(n_features), covariance
        )
        after = moments.maximise(covariance, np.full(n_features, 1e-6), EPSILON)
        found = [moments.sums, moments.origins, after.covariances, after.factors]
        found += [mixture.natural_parameters, spurious(after, moments)]
        forms = covariance.absolute_form(factors, np.abs(mixture.means))
        found.append(forms)
        # The median: of some components the form is more, of some less.
        middle = float(np.median(forms))
        found.append(covariance.absolute_form_within(factors, np.abs(mixture.means), middle))
        if covariance.has_matrices:
            found.append(directions(mixture, covariance.whitening(factors, mixture.shape)))
        return found

    expected = made()
    monkeypatch.setattr(parallel, "_SLICE_VALUES", most * n_features**2)
    for one, other in zip(made(), expected, strict=True):
        np.testing.assert_array_equal(one, other)
