"""What a job leaves to look at from its cluster: the page of fits and Dask's performance report."""

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
"""What Dask's template has browsers fetch from its web site."""

logger = logging.getLogger(__name__)


def check_report(path: str) -> None:
    """Refuse a report that can't be drawn or written, before any work is done.

    Raises
    ------
    ConfigurationError
        bokeh is not installed, or it is a URL.
    OutputError
        The file's folder is missing or can't be written to.
    """
    require_package("bokeh", "dashboard", "Performance reports need bokeh")
    require_writable_here(path)


@contextmanager
def reported(client: Any, path: str) -> Iterator[None]:
    """Write a report of the block, also where it fails; if that can't be done it is warned of.

    Parameters
    ----------
    client : distributed.Client
    path : str
    """
    from distributed import performance_report

    target = Path(path)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    report = performance_report(str(unfinished), mode="inline")  # to be read without a network
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
        with client.as_current():  # which Dask looks for, in whatever thread this is
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
    """Undo what pages of the dashboard leave behind in Bokeh, whose next figure it would spoil.

    Bokeh notes whose document is at work, and forgets to undo that where a page's own function
    fails, as that of ``/groups`` does while groups come and go. Once such a page is closed its
    document is taken apart, and a report would begin with it (no ``_js_event_callbacks``). Between
    two functions of pages, as now, no document is at work.
    """
    from bokeh.io import doc

    getattr(doc, "_PATCHED_CURDOCS", []).clear()


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
