"""The covariance types. A new one is a file here and a line in the registry."""

from daskgmm.errors import ConfigurationError
from daskgmm.model.covariance.base import Covariance
from daskgmm.model.covariance.diag import Diag
from daskgmm.model.covariance.full import Full
from daskgmm.model.covariance.spherical import Spherical
from daskgmm.model.covariance.tied import Tied

COVARIANCES: dict[str, Covariance] = {
    "full": Full(),
    "tied": Tied(),
    "diag": Diag(),
    "spherical": Spherical(),
}


def covariance_named(name: str) -> Covariance:
    """Look a covariance type up by the name that users give it."""
    if not isinstance(name, str) or name not in COVARIANCES:
        known = ", ".join(COVARIANCES)
        raise ConfigurationError(f"covariance_type={name!r} is not known.", f"Use one of: {known}.")
    return COVARIANCES[name]
