"""Observers of fits, and the fits on a cluster's dashboard and in its metrics."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daskgmm.monitoring.mlflow import MLflowLogger
    from daskgmm.monitoring.service.installing import install

__all__ = ["MLflowLogger", "install"]

_HOMES = {"MLflowLogger": "mlflow", "install": "service.installing"}


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
