"""Marks of tests whose rows are few or odd, so that fits warn; `tests/estimators/test_warnings.py`
expects the warnings."""

import pytest

WITH_SMALL_COMPONENTS = pytest.mark.filterwarnings(
    "ignore:Components? [0-9]:sklearn.exceptions.ConvergenceWarning"
)
"""Some component holds hardly more rows than determine it."""

WITH_LITTLE_VARIANCE = pytest.mark.filterwarnings("ignore:reg_covar=:UserWarning")
"""Some column varies little more than what `reg_covar` adds."""
