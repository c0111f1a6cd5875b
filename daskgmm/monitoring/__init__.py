"""Watching fits: observers of their states, and what an operator sees of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskgmm.monitoring.installing import install

__all__ = ["install"]


def __getattr__(name: str) -> Any:
    """What users call, whose module is imported when it is wanted."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("daskgmm.monitoring.installing"), name)
