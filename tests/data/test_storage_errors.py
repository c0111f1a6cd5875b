"""What failures of storage mean, whichever package reports them."""

import errno
import socket
import zlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.data.storage import retry
from daskgmm.data.storage.errors import FailureKind, failure_kind, input_errors, output_errors
from daskgmm.data.storage.retry import read_persistently, retried
from daskgmm.errors import ClusterError, DataError, MissingInputError, OutputError

botocore = pytest.importorskip("botocore.exceptions")
aiohttp = pytest.importorskip("aiohttp")
s3fs_errors = pytest.importorskip("s3fs.errors")


def refusal(code, status):
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.ClientError(response, "GetObject")


def translated(code, status):
    return s3fs_errors.translate_boto_error(refusal(code, status))


FAILURES = [
    (FileNotFoundError("a"), FailureKind.MISSING),
    (PermissionError("a"), FailureKind.DENIED),
    (ConnectionResetError("a"), FailureKind.TRANSIENT),
    (TimeoutError(), FailureKind.TRANSIENT),
    (OSError(errno.EHOSTUNREACH, "No route to host"), FailureKind.TRANSIENT),
    (socket.gaierror(-2, "Name or service not known"), FailureKind.TRANSIENT),
    (OSError(errno.EIO, "Input/output error"), None),
    (zlib.error("a"), None),
    (ValueError("a"), None),
    (botocore.EndpointConnectionError(endpoint_url="http://host"), FailureKind.TRANSIENT),
    (botocore.ConnectTimeoutError(endpoint_url="http://host"), FailureKind.TRANSIENT),
    (botocore.ReadTimeoutError(endpoint_url="http://host"), FailureKind.TRANSIENT),
    (botocore.ConnectionClosedError(endpoint_url="http://host"), FailureKind.TRANSIENT),
    (botocore.IncompleteReadError(actual_bytes=1, expected_bytes=2), FailureKind.TRANSIENT),
    (botocore.NoCredentialsError(), FailureKind.DENIED),
    (botocore.PartialCredentialsError(provider="env", cred_var="key"), FailureKind.DENIED),
    (refusal("SlowDown", 503), FailureKind.TRANSIENT),
    (refusal("InvalidAccessKeyId", 403), FailureKind.DENIED),
    (refusal("InvalidRequest", 400), None),
    (translated("SlowDown", 503), FailureKind.TRANSIENT),
    (translated("InternalError", 500), FailureKind.TRANSIENT),
    (translated("AccessDenied", 403), FailureKind.DENIED),
    (translated("NoSuchKey", 404), FailureKind.MISSING),
    (translated("PreconditionFailed", 412), FailureKind.CHANGED),
    (aiohttp.ServerDisconnectedError(), FailureKind.TRANSIENT),
    (aiohttp.ClientPayloadError("cut"), FailureKind.TRANSIENT),
    (aiohttp.ClientResponseError(None, (), status=502), FailureKind.TRANSIENT),
    (aiohttp.ClientResponseError(None, (), status=403), FailureKind.DENIED),
]


@pytest.mark.parametrize(("error", "expected"), FAILURES, ids=lambda value: type(value).__name__)
def test_a_failure_means_what_its_package_meant(error, expected):
    assert failure_kind(error) is expected


@pytest.mark.parametrize(
    ("error", "reading", "writing"),
    [
        (FileNotFoundError("a"), DataError, OutputError),
        (refusal("AccessDenied", 403), MissingInputError, OutputError),
        (translated("PreconditionFailed", 412), DataError, OutputError),
        (refusal("SlowDown", 503), ClusterError, ClusterError),
        (OSError(errno.ENOSPC, "No space left on device"), MissingInputError, OutputError),
        (ValueError("a"), ValueError, ValueError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_read_and_what_is_written_fail_each_in_its_way(error, reading, writing):
    for explain, kind in ((input_errors, reading), (output_errors, writing)):
        with pytest.raises(kind) as caught, explain("s3://bucket/name"):
            raise error
        assert kind is ValueError or "s3://bucket/name" in str(caught.value)


def test_credentials_in_an_address_are_not_shown():
    error = ConnectionError("no answer from 'https://me:hunter2@host/a?X-Amz-Signature=hunter2'")
    with pytest.raises(ClusterError) as caught, input_errors("a"):
        raise error
    assert "no answer from 'https://me:***@host/a?***'" in str(caught.value)


@pytest.fixture
def pauses(monkeypatch):
    """Pauses that are taken, none of which lasts."""
    taken = []
    monkeypatch.setattr(retry.time, "sleep", taken.append)
    return taken


def test_what_fails_in_passing_is_tried_again(pauses, caplog):
    left = [ClusterError("The store is busy."), ClusterError("The store is busy.")]

    @retried
    def read():
        if left:
            raise left.pop()
        return "rows"

    assert read() == "rows"
    assert pauses == list(retry.PAUSES[:2])
    assert "The store is busy. The read is tried again in 1 s." in caplog.text


def test_what_goes_on_failing_is_raised(pauses):
    @retried
    def read():
        raise ClusterError("The store is busy.")

    with pytest.raises(ClusterError):
        read()
    assert pauses == list(retry.PAUSES)


def test_what_would_fail_again_is_raised_at_once(pauses):
    @retried
    def read():
        raise DataError("A value is not finite.")

    with pytest.raises(DataError):
        read()
    assert pauses == []


def interrupted(values, failures):
    """Reads the values, failing at these positions, each time it comes there first."""
    left = set(failures)

    def read():
        for position, value in enumerate(values):
            if position in left:
                left.remove(position)
                raise ClusterError("The store is busy.")
            yield value

    return read


@given(st.lists(st.integers(), max_size=8), st.sets(st.integers(0, 7), max_size=len(retry.PAUSES)))
def test_reading_goes_on_where_it_failed(values, failures):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry.time, "sleep", lambda _: None)
        assert list(read_persistently(interrupted(values, failures))) == values


def test_reading_that_goes_on_failing_is_raised_after_what_was_read(pauses):
    found = []
    with pytest.raises(ClusterError):
        found.extend(read_persistently(interrupted(range(8), range(3, 8))))
    assert pauses == list(retry.PAUSES)

    def refused():
        yield 0
        raise ClusterError("The store is busy.")

    reading = read_persistently(refused)
    assert next(reading) == 0
    with pytest.raises(ClusterError):
        next(reading)


def test_reading_that_would_fail_again_is_raised_at_once(pauses):
    def refused():
        yield 0
        raise DataError("A value is not finite.")

    reading = read_persistently(refused)
    assert next(reading) == 0
    with pytest.raises(DataError):
        next(reading)
    assert pauses == []


def test_a_read_that_took_long_to_fail_is_not_tried_again(pauses, monkeypatch):
    clock = iter([0.0, retry.NO_RETRY_AFTER_SECONDS + 1])
    own = SimpleNamespace(monotonic=lambda: next(clock), sleep=pauses.append)
    monkeypatch.setattr(retry, "time", own)  # other threads of this process go by the true one
    with pytest.raises(ClusterError):
        next(read_persistently(interrupted([0], [0])))
    assert pauses == []
