"""What can be put on a scheduler's HTTP server."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

from daskgmm.monitoring.board import Board

Part: TypeAlias = Callable[[Any, Board], Callable[[], None] | None]
"""Puts itself on a scheduler, in its event loop; returns how to close it, if that is needed."""

PARTS: dict[str, str] = {
    "/daskgmm.json": "daskgmm.monitoring.http",
    "/daskgmm": "daskgmm.monitoring.page.route",
    "/metrics": "daskgmm.monitoring.metrics",
}
"""Modules whose ``add`` is a `Part`, by what it adds. Each may need other libraries."""


def part(name: str) -> Part:
    """Import a part."""
    found: Part = import_module(PARTS[name]).add
    return found
