"""What a fit warns of: rows and results that are allowed, and hardly what was meant."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm import GaussianMixture, GaussianMixtureSelector
from daskgmm.passes.statistics import Statistics

ROWS = np.random.default_rng(0).normal(size=(300, 2))


@pytest.mark.parametrize("estimator", [GaussianMixture(2), GaussianMixtureSelector([1, 2])])
def test_a_constant_column_is_warned_of_by_name_at_the_callers_line(estimator):
    frame = pd.DataFrame(ROWS, columns=["a", "b"]).assign(const=0.1)
    with pytest.warns(UserWarning, match=r"^Column 'const' is constant; leave it out\.$") as found:
        estimator.fit(frame)
    assert [warning.filename for warning in found] == [__file__]


def test_constant_features_without_names_go_by_their_numbers():
    rows = np.column_stack([np.full(300, -3.0), ROWS, np.full(300, 1e8)])
    with pytest.warns(UserWarning, match=r"^Feature 0, feature 3 are constant; leave them out\.$"):
        GaussianMixture(2).fit(rows)


@given(
    value=st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100),
    lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=5),
    weighted=st.booleans(),
    scatter=st.booleans(),
)
def test_equal_numbers_are_constant_and_one_that_differs_in_its_last_digit_is_not(
    value, lengths, weighted, scatter
):
    other = value + max(np.spacing(abs(value)), 1e-100)  # less would have no square
    parts = [np.full((2, length), value) for length in lengths]
    parts[0] = np.append(parts[0], [[value], [other]], axis=1)
    random = np.random.default_rng(0)
    one, *more = (
        Statistics.of(
            part, random.uniform(0.5, 2, part.shape[1]) if weighted else None, scatter=scatter
        )
        for part in parts
    )
    assert sum(more, start=one).constant.tolist() == [True, False]
