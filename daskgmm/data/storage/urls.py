"""File systems of the paths and URLs that users give, opened by fsspec with sensible timeouts."""

import os
from collections.abc import Mapping
from inspect import signature
from typing import Any

from fsspec import AbstractFileSystem, available_protocols, get_filesystem_class
from fsspec.config import conf
from fsspec.core import url_to_fs

from daskgmm.data.storage.credentials import shown_address
from daskgmm.data.storage.errors import decoder_errors, first_line, input_errors
from daskgmm.errors import ConfigurationError, require_package

_S3 = ("s3://", "s3a://")
_VARIABLES = ("AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS")
_RETRIES = {"mode": "standard", "total_max_attempts": 5}
"""Unless the user sets some; botocore's other mode doesn't retry all transient failures."""

_SILENCE = {"connect_timeout": 5, "read_timeout": 5}
"""Seconds. s3fs makes five times as many attempts: a store that takes connections and never
answers is given up after some three minutes."""


def open_file_system(
    path: str, storage_options: Mapping[str, Any]
) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the path within it.

    Raises
    ------
    ImportError, ValueError
        The URL's protocol is unknown or its package isn't installed, or an option is unknown.
    """
    options = dict(storage_options)
    if path.startswith(_S3):
        own = options.get("config_kwargs") or conf.get("s3", {}).get("config_kwargs") or {}
        user_set = any(name in os.environ for name in _VARIABLES)
        retries = {} if user_set else {"retries": _RETRIES}
        options["config_kwargs"] = {**_SILENCE, **retries, **own}
    if "::" in path and not _is_chain(path):  # a name may hold the sign of a chain
        first = path.partition("::")[0]
        protocol = first.partition("://")[0] if "://" in first else "file"
        if "://" not in first and not path.startswith(("/", "~")):
            path = f"./{path}"  # otherwise a name that begins with file: loses that prefix
        kind = get_filesystem_class(protocol)
        given = {**kind._get_kwargs_from_urls(path), **options}  # noqa: SLF001  as fsspec does
        return kind(**given), kind._strip_protocol(path)  # noqa: SLF001
    filesystem, root = url_to_fs(path, **options)
    return filesystem, root


def _is_chain(path: str) -> bool:
    """Whether the first of several chained URLs is of a file system on top of another."""
    first, _, rest = path.partition("::")
    protocol = first.partition("://")[0] if "://" in first else first
    if protocol not in available_protocols():
        return "://" in rest and "://" not in first  # fsspec reports unknown protocols
    # The signature of `__init__` decides, as the classes' metaclass takes any arguments.
    return "target_protocol" in signature(get_filesystem_class(protocol).__init__).parameters


def address_of(path: Any) -> str:
    """A path or URL as text.

    Raises
    ------
    ConfigurationError
        It is not a path, or empty, which would be the current folder.
    """
    address = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(address, str) or not address:
        raise ConfigurationError(
            f"{path!r} is not a path.",
            "Give a path or URL; if it comes from a shell variable, the variable may not be set.",
        )
    return address


def file_system(address: str, options: Mapping[str, Any]) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the path within it.

    Raises
    ------
    ConfigurationError
        The URL's protocol is unknown, or its package isn't installed, is too old, or takes no such
        options.
    MissingInputError, DataError, ClusterError
        What it is opened on top of, such as an archive, is missing, damaged, or can't be reached.
    """
    shown = shown_address(address)
    if address.startswith(_S3):
        require_package("s3fs", "s3", f"{shown} needs the package s3fs")
    on_top = decoder_errors if "::" in address else input_errors
    with on_top(shown, seen=False):
        try:
            return open_file_system(address, options)
        except (ImportError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{shown} can't be opened: {first_line(error)}.",
                "Check the URL's protocol, the package for it, and the storage options.",
            ) from error
