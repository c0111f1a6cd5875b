"""Laws of quantiles that are found by counting."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.model import quantile as ranks
from daskgmm.model.quantile import Question, quantile

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


def counting(values, pieces=1, asked=None):
    """Answers by adding the counts of pieces, as a pass does."""

    def count(question):
        if asked is not None:
            asked.append(question)
        answers = [question.count(own) for own in np.array_split(values, pieces)]
        return reduce(question.add, answers)

    return count


@pytest.mark.slow
@given(st.lists(FINITE, min_size=1, max_size=60), st.floats(0, 1), st.integers(1, 7))
def test_a_quantile_is_numpys_however_the_values_are_cut(values, share, pieces):
    values = np.asarray(values)
    assert quantile(counting(values, pieces), share) == np.quantile(values, share)


@pytest.mark.parametrize("share", [0.0, 1e-4, 0.01, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_values_take_a_second_pass_and_no_digit_is_lost(share, dtype):
    values = (np.random.default_rng(0).normal(size=400_000) * 9 - 30).astype(dtype)
    asked = []
    found = quantile(counting(values, 11, asked), share)
    assert found == np.quantile(values.astype(np.float64), share)
    assert len(asked) == (2 if len(np.unique(values)) > ranks.MOST_CELLS else 1)


def test_values_that_crowd_take_a_pass_more(monkeypatch):
    monkeypatch.setattr(ranks, "_FEW_VALUES", 1000)
    values = 1 + np.random.default_rng(1).random(300_000) * 1e-6
    asked = []
    assert quantile(counting(values, 3, asked), 0.3) == np.quantile(values, 0.3)
    assert [question.bits for question in asked] == [64, 42, 64]


@pytest.mark.parametrize("value", [0.0, -5.0, np.inf, -np.inf])
def test_values_that_are_all_the_same_are_their_quantile(value):
    assert quantile(counting(np.full(200_000, value), 4), 0.25) == value


def test_the_size_of_counts_is_bounded():
    values = np.random.default_rng(2).normal(size=1_000_000) * 20 - 50
    answers = [Question().count(own) for own in np.array_split(values, 8)]
    total = reduce(Question().add, answers)
    assert total.total == len(values)
    assert len(total.cells) < 2**18


def test_the_order_of_adding_changes_nothing():
    parts = np.array_split(np.random.default_rng(3).normal(size=300_000), 5)
    question = Question()
    answers = [question.count(own) for own in parts]
    forth, back = reduce(question.add, answers), reduce(question.add, answers[::-1])
    assert forth.bits == back.bits
    np.testing.assert_array_equal(forth.cells, back.cells)
    np.testing.assert_array_equal(forth.numbers, back.numbers)


def test_of_nothing_there_is_no_quantile():
    assert np.isnan(quantile(counting(np.empty(0)), 0.5))
