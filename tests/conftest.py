"""What several test files share."""

import pytest
from hypothesis import settings

from daskgmm.model.covariance import COVARIANCES
from tests.support.stores import proxied, s3, s3_server  # noqa: F401  fixtures for all tests

# The same examples each time: a failure is the code's doing, never the draw's.
settings.register_profile("daskgmm", deadline=None, derandomize=True)
settings.load_profile("daskgmm")


@pytest.fixture(params=list(COVARIANCES))
def covariance_type(request):
    return request.param


@pytest.fixture
def covariance(covariance_type):
    return COVARIANCES[covariance_type]
