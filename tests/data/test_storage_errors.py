"""What failures of storage mean, whichever package reports them."""

import errno
import socket
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.data.storage import retry
from daskgmm.data.storage.errors import Meaning, explained, explained_writing, meaning
from daskgmm.data.storage.retry import persistent, read_persistently
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
    (FileNotFoundError("a"), Meaning.MISSING),
    (PermissionError("a"), Meaning.DENIED),
    (ConnectionResetError("a"), Meaning.PASSING),
    (TimeoutError(), Meaning.PASSING),
    (OSError(errno.EHOSTUNREACH, "No route to host"), Meaning.PASSING),
    (socket.gaierror(-2, "Name or service not known"), Meaning.PASSING),
    (OSError(errno.EIO, "Input/output error"), None),
    (zlib.error("a"), None),
    (ValueError("a"), None),
    (botocore.EndpointConnectionError(endpoint_url="http://host"), Meaning.PASSING),
    (botocore.ConnectTimeoutError(endpoint_url="http://host"), Meaning.PASSING),
    (botocore.ReadTimeoutError(endpoint_url="http://host"), Meaning.PASSING),
    (botocore.ConnectionClosedError(endpoint_url="http://host"), Meaning.PASSING),
    (botocore.IncompleteReadError(actual_bytes=1, expected_bytes=2), Meaning.PASSING),
    (botocore.NoCredentialsError(), Meaning.DENIED),
    (botocore.PartialCredentialsError(provider="env", cred_var="key"), Meaning.DENIED),
    (refusal("SlowDown", 503), Meaning.PASSING),
    (refusal("InvalidAccessKeyId", 403), Meaning.DENIED),
    (refusal("InvalidRequest", 400), None),
    (translated("SlowDown", 503), Meaning.PASSING),
    (translated("InternalError", 500), Meaning.PASSING),
    (translated("AccessDenied", 403), Meaning.DENIED),
    (translated("NoSuchKey", 404), Meaning.MISSING),
    (translated("PreconditionFailed", 412), Meaning.CHANGED),
    (aiohttp.ServerDisconnectedError(), Meaning.PASSING),
    (aiohttp.ClientPayloadError("cut"), Meaning.PASSING),
    (aiohttp.ClientResponseError(None, (), status=502), Meaning.PASSING),
    (aiohttp.ClientResponseError(None, (), status=403), Meaning.DENIED),
]


@pytest.mark.parametrize(("error", "expected"), FAILURES, ids=lambda value: type(value).__name__)
def test_a_failure_means_what_its_package_meant(error, expected):
    assert meaning(error) is expected


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
    for explain, kind in ((explained, reading), (explained_writing, writing)):
        with pytest.raises(kind) as caught, explain("s3://bucket/name"):
            raise error
        assert kind is ValueError or "s3://bucket/name" in str(caught.value)


def test_credentials_in_an_address_are_not_shown():
    error = ConnectionError("no answer from 'https://me:hunter2@host/a?X-Amz-Signature=hunter2'")
    with pytest.raises(ClusterError) as caught, explained("a"):
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

    @persistent
    def read():
        if left:
            raise left.pop()
        return "rows"

    assert read() == "rows"
    assert pauses == list(retry.PAUSES[:2])
    assert "The store is busy. It is tried again in 1 s." in caplog.text


def test_what_goes_on_failing_is_raised(pauses):
    @persistent
    def read():
        raise ClusterError("The store is busy.")

    with pytest.raises(ClusterError):
        read()
    assert pauses == list(retry.PAUSES)


def test_what_would_fail_again_is_raised_at_once(pauses):
    @persistent
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
    clock = iter([0.0, retry.ENOUGH_SECONDS + 1])
    monkeypatch.setattr(retry.time, "monotonic", lambda: next(clock))
    with pytest.raises(ClusterError):
        next(read_persistently(interrupted([0], [0])))
    assert pauses == []
