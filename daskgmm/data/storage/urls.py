"""Paths and URLs as users give them, and the file systems that they name."""

import os
from collections.abc import Mapping
from typing import Any

from fsspec import AbstractFileSystem

from daskgmm.data.opening import opened
from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.errors import first_line
from daskgmm.errors import ConfigurationError


def address_of(path: Any) -> str:
    """A path or URL as text.

    Raises
    ------
    ConfigurationError
        It is none, or empty: that would be the current folder.
    """
    address = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(address, str) or not address:
        raise ConfigurationError(
            f"{path!r} is no path.",
            "Give a path or URL; if it came from a variable of the shell, that may not be set.",
        )
    return address


def file_system(address: str, options: Mapping[str, Any]) -> tuple[AbstractFileSystem, str]:
    """The file system that an address names, and how that calls what is there.

    Raises
    ------
    ConfigurationError
        The URL's protocol is unknown, its package isn't installed, or takes no such options.
    """
    try:
        return opened(address, options)
    except (ImportError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{shown_address(address)} can't be opened: {first_line(error)}.",
            "Check the URL's protocol, the package for it, and the storage options.",
        ) from error
