"""Views of a job's cluster: the dashboard's page of fits and Dask's performance report."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from daskgmm.data.storage.deadline import run_within
from daskgmm.errors import require_package
from daskgmm.jobs.runs.directory import require_writable_here
from daskgmm.monitoring import install

_SECONDS_FOR_LAST_WORDS = 5.0

_ICON = re.compile(r'<link rel="shortcut icon" href="https?://[^"]*" ?/>\n?')
"""Link in Dask's template that makes browsers fetch an icon from Dask's web site."""

logger = logging.getLogger(__name__)


def check_report(path: str) -> None:
    """Refuse a report that can't be drawn or written, before any work is done.

    Raises
    ------
    ConfigurationError
        bokeh is not installed, or the path is a URL.
    OutputError
        The file's folder is missing or can't be written to.
    """
    require_package("bokeh", "dashboard", "Performance reports need bokeh")
    require_writable_here(path)


@contextmanager
def reported(client: Any, path: str) -> Iterator[None]:
    """Write a performance report of the block, also if the block fails.

    A report that can't be written is logged as a warning; the job goes on.

    Parameters
    ----------
    client : distributed.Client
    path : str
        File of the report.
    """
    from distributed import performance_report

    target = Path(path)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    report = performance_report(str(unfinished), mode="inline")  # readable offline
    report.__enter__()
    write = partial(_write, client, report, unfinished, target)
    try:
        yield
    except Exception:
        write()
        raise
    except BaseException:
        run_within(write, _SECONDS_FOR_LAST_WORDS)
        raise
    write()


def _write(client: Any, report: Any, unfinished: Path, target: Path) -> None:
    try:
        with client.as_current():  # Dask takes the current client, which other threads don't have
            client.run_on_scheduler(_forget_left_documents)
            report.__exit__(None, None, None)
        page = unfinished.read_text(encoding="utf-8")
        unfinished.write_text(_ICON.sub("", page), encoding="utf-8")
        unfinished.replace(target)
    except Exception as error:
        logger.warning(
            "The performance report %s can't be written (%s: %s).",
            target, type(error).__name__, error,
            exc_info=logger.isEnabledFor(logging.DEBUG),
        )  # fmt: skip
    else:
        logger.info("Performance report: %s", target)
    finally:
        unfinished.unlink(missing_ok=True)


def _forget_left_documents() -> None:
    """Clear documents that dashboard pages left in Bokeh, so that they don't break the report.

    While a page's function runs, Bokeh before 3.10 keeps its document in a list, and doesn't remove
    it if the function fails, as that of ``/groups`` does while groups come and go. When such a page
    is closed its document is taken apart, and a report that begins with it fails (no
    ``_js_event_callbacks``). No page's function runs at this moment, so the list may be emptied.
    """
    from bokeh.io import doc

    left = getattr(doc, "_PATCHED_CURDOCS", None)
    if isinstance(left, list):  # since Bokeh 3.10 it is none, and nothing is left behind
        left.clear()


def page_on(client: Any, dashboard: str | None) -> str | None:
    """Add the page of fits to a dashboard; if that fails, the job goes on without it.

    Parameters
    ----------
    client : distributed.Client
    dashboard : str or None
        URL of the dashboard, if there is one.

    Returns
    -------
    str or None
        URL of the page, or of the dashboard where the page can't be added.
    """
    if dashboard is None:
        return None
    try:
        return install(client) or dashboard
    except Exception as error:  # noqa: BLE001  a change in Dask must not end the job
        logger.warning(
            "The page of fits can't be added to the dashboard (%s: %s).",
            type(error).__name__, error,
        )  # fmt: skip
        return dashboard
