"""The page of fits on the dashboard of a job's own cluster."""

import logging
from typing import Any

from daskgmm.monitoring import install

logger = logging.getLogger(__name__)


def page_on(client: Any, dashboard: str | None) -> str | None:
    """Put the page on a dashboard, where there is one; without it a job goes on as well.

    Returns
    -------
    str or None
        Where to look: at the page, or else at the dashboard as it was.
    """
    if dashboard is None:
        return None
    try:
        return install(client) or dashboard
    except Exception as error:  # noqa: BLE001  whatever moved in Dask: the job goes on
        logger.warning("Fits are not on the dashboard (%s: %s).", type(error).__name__, error)
        return dashboard
