"""Failures of disks, stores and decoders, turned into our own errors.

Errors of the stores' packages are recognised by name, so that none of them is imported.
"""

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import pyarrow as pa

from daskgmm.data.storage.credentials import without_credentials
from daskgmm.errors import ClusterError, DaskGMMError, DataError, MissingInputError, OutputError

_NETWORK = (errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH)
_TRANSIENT_STATUS = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)


class FailureKind(Enum):
    """Kinds of failures of storage."""

    MISSING = auto()
    DENIED = auto()
    CHANGED = auto()
    TRANSIENT = auto()


_BUILT_IN: tuple[tuple[type[Exception] | tuple[type[Exception], ...], FailureKind], ...] = (
    ((FileNotFoundError, NotADirectoryError), FailureKind.MISSING),
    (PermissionError, FailureKind.DENIED),
    ((ConnectionError, TimeoutError), FailureKind.TRANSIENT),
)
_NAMED = {
    "aiohttp.ClientConnectionError": FailureKind.TRANSIENT,
    "aiohttp.ClientPayloadError": FailureKind.TRANSIENT,
    "azure.ServiceRequestError": FailureKind.TRANSIENT,
    "azure.ServiceResponseError": FailureKind.TRANSIENT,
    "botocore.ConnectionError": FailureKind.TRANSIENT,
    "botocore.CredentialRetrievalError": FailureKind.DENIED,
    "botocore.HTTPClientError": FailureKind.TRANSIENT,
    "botocore.IncompleteReadError": FailureKind.TRANSIENT,
    "botocore.NoCredentialsError": FailureKind.DENIED,
    "botocore.PartialCredentialsError": FailureKind.DENIED,
    "botocore.ResponseParserError": FailureKind.TRANSIENT,  # a proxy's page
    "http.IncompleteRead": FailureKind.TRANSIENT,
    "s3fs.FileExpired": FailureKind.CHANGED,
    "socket.gaierror": FailureKind.TRANSIENT,
    "urllib3.ProtocolError": FailureKind.TRANSIENT,
    "urllib3.TimeoutError": FailureKind.TRANSIENT,
}


def failure_kind(error: BaseException) -> FailureKind | None:
    """The kind of a failure of storage; ``None`` for other errors."""
    return _own_kind(_root(error))


def _root(error: BaseException) -> BaseException:
    """The first of an error's causes with a known kind: fsspec reports any as a missing file."""
    root, cause = error, error.__cause__
    while cause is not None:
        root = root if _own_kind(cause) is None else cause
        cause = cause.__cause__
    return root


def _own_kind(error: BaseException) -> FailureKind | None:
    for kinds, found in _BUILT_IN:
        if isinstance(error, kinds):
            return found
    for kind in type(error).__mro__:
        name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
        if name in _NAMED:
            return _NAMED[name]
    if getattr(error, "errno", None) in _NETWORK:
        return FailureKind.TRANSIENT
    return _kind_of_status(_status(error))


def _status(error: Any) -> Any:
    """The HTTP status of an error of botocore, aiohttp, requests or others."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    holders = (
        (error, "status"),
        (error, "status_code"),
        (error, "code"),
        (response, "status_code"),
    )
    statuses = (getattr(holder, name, None) for holder, name in holders)
    return next((status for status in statuses if isinstance(status, int)), None)


def _kind_of_status(status: Any) -> FailureKind | None:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return FailureKind.DENIED
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return FailureKind.MISSING
    if status == HTTPStatus.PRECONDITION_FAILED:
        return FailureKind.CHANGED
    return FailureKind.TRANSIENT if status in _TRANSIENT_STATUS else None


@contextmanager
def input_errors(name: str, *, seen: bool = True, path: str | None = None) -> Iterator[None]:
    """Turn failures of storage or decoding into our errors about an input.

    Parameters
    ----------
    name : str
    seen : bool
        Whether it was there before: if it is missing now, it was removed, not mistyped.
    path : str, optional
        The file, where `name` is a piece of it.
    """
    try:
        yield
    except DaskGMMError:
        raise
    except MemoryError:  # Arrow's is an error of its own as well
        raise
    except Exception as error:
        own = _input_error(name, error, seen=seen, path=path)
        if own is None:
            raise
        raise own from error


@contextmanager
def decoder_errors(name: str, *, seen: bool = True, path: str | None = None) -> Iterator[None]:
    """Turn any error of a decoder into our errors about an input, as `input_errors` does.

    Decoders fail on damaged bytes with errors of any kind. The block should hold little more than
    calls of the decoder, since bugs of our own would be reported as damage too.
    """
    try:
        with input_errors(name, seen=seen, path=path):
            yield
    except DaskGMMError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{name} can't be decoded in the memory that there is: {first_line(error)}.",
            "If the file is whole, give more memory or write it in smaller row groups or chunks; "
            "a damaged one may ask for any size.",
        ) from error
    except Exception as error:
        raise _damaged(name, first_line(error)) from error


@contextmanager
def output_errors(name: str, deed: str = "written") -> Iterator[None]:
    """Turn failures of storage into our errors about the output ``name``.

    Parameters
    ----------
    name : str
    deed : str
        What can't be done to it, such as ``written``.
    """
    try:
        yield
    except DaskGMMError:
        raise
    except Exception as error:
        found = failure_kind(error)
        if found is FailureKind.TRANSIENT:
            raise _unreachable(name, error) from error
        if found is None and not isinstance(error, OSError):
            raise
        raise _output_error(name, deed, found, error) from error


def changed(name: str) -> DataError:
    """The error that a file is no longer the version that was opened."""
    remedy = "Run it again once nothing writes to the inputs any more."
    return DataError(f"{name} changed while it was read.", remedy)


def gone(name: str) -> DataError:
    """The error that a file is no longer where it was when the inputs were listed."""
    cause = f"{name} is gone: it was there when the inputs were listed."
    return DataError(cause, "Run it again once nothing removes or replaces inputs any more.")


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without credentials or a full stop."""
    text = str(error).strip() or type(error).__name__
    return without_credentials(text.splitlines()[0]).rstrip(".")


def _input_error(
    name: str, error: Exception, *, seen: bool, path: str | None
) -> DaskGMMError | None:
    match failure_kind(error):
        case FailureKind.MISSING if seen:
            return gone(path or name)
        case FailureKind.MISSING:
            return MissingInputError(f"{name} does not exist.", "Check the path.")
        case FailureKind.DENIED:
            remedy = (
                "Ask for permission to read it, or check the credentials in the storage options."
            )
            return MissingInputError(f"{name} can't be read: {_denial(error)}.", remedy)
        case FailureKind.CHANGED:
            return changed(name)
        case FailureKind.TRANSIENT:
            return _unreachable(name, error)
    if getattr(error, "errno", None) is not None:  # a device that fails, not bytes without sense
        cause = f"{name} can't be read: {first_line(error)}."
        return MissingInputError(cause, "Check the file and the disk or store that holds it.")
    if isinstance(error, OSError | EOFError | zlib.error | pa.ArrowException):
        return _damaged(name, first_line(error))
    return None


def _damaged(name: str, reason: str) -> DataError:
    remedy = "It may be cut short or still being written: write it again or leave it out."
    return DataError(f"{name} is damaged or of another format: {reason}.", remedy)


def _output_error(name: str, deed: str, found: FailureKind | None, error: Exception) -> OutputError:
    reason = _denial(error) if found is FailureKind.DENIED else _reason(error)
    remedy = "Check that its folder exists, is writable and has space, and the credentials."
    return OutputError(f"{name} can't be {deed}: {reason}.", remedy)


def _reason(error: Exception) -> str:
    """The system's text for an error of a disk, the first line of another error."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number and error.__cause__ is None else first_line(error)


def _denial(error: Exception) -> str:
    """The reason of a refusal, without the store's own text, which may repeat a key."""
    local = isinstance(error, PermissionError)
    return "permission denied" if local else type(_root(error)).__name__


def _unreachable(name: str, error: Exception) -> ClusterError:
    root = _root(error)
    cause = f"{name} can't be reached: {type(root).__name__}: {first_line(root)}."
    return ClusterError(cause, "Check the network and the store's address, and run it again.")
