"""Watching fits: observers of their states, and what an operator sees of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskgmm.monitoring.mlflow import MLflowLogger

__all__ = ["MLflowLogger"]

_HOMES = {"MLflowLogger": "mlflow"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
