"""File systems that fsspec opens, with what stores need to be waited for no longer than helps."""

import os
from collections.abc import Mapping
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.config import conf
from fsspec.core import url_to_fs

_S3 = ("s3://", "s3a://")
_VARIABLES = ("AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS")
_RETRIES = {"mode": "standard", "total_max_attempts": 5}
"""A user's own come first; botocore's other mode doesn't know all failures that pass."""

_SILENCE = {"connect_timeout": 5, "read_timeout": 5}
"""Seconds. s3fs makes five times as many attempts: a store that takes connections and never
answers is given up after some three minutes."""


def opened(path: str, storage_options: Mapping[str, Any]) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and the path as it calls it.

    Raises
    ------
    ImportError, ValueError
        The URL's protocol is unknown or its package isn't installed, or an option is unknown.
    """
    options = dict(storage_options)
    if path.startswith(_S3):
        own = options.get("config_kwargs") or conf.get("s3", {}).get("config_kwargs") or {}
        told_otherwise = any(name in os.environ for name in _VARIABLES)
        retries = {} if told_otherwise else {"retries": _RETRIES}
        options["config_kwargs"] = {**_SILENCE, **retries, **own}
    filesystem, root = url_to_fs(path, **options)
    return filesystem, root
