"""An object store as tests need one: moto's server over real HTTP on loopback."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

_REFUSALS = {
    "busy": (503, b"<Error><Code>SlowDown</Code><Message>Slow down.</Message></Error>"),
    "denied": (403, b"<Error><Code>AccessDenied</Code><Message>Access denied.</Message></Error>"),
}

KEY, SECRET = "AKIADASKGMMTEST", "a-secret-that-is-never-shown"


@dataclass(frozen=True)
class Store:
    """A fresh bucket.

    Parameters
    ----------
    endpoint : str
        Address of the server, such as ``http://127.0.0.1:34567``.
    url : str
        The bucket, ``s3://NAME``.
    options : dict
        Storage options that open it.
    """

    endpoint: str
    url: str
    options: dict[str, Any]

    @cached_property
    def filesystem(self) -> Any:
        """What a test puts files there with: its own, which keeps no listing."""
        import s3fs

        return s3fs.S3FileSystem(**self.options, skip_instance_cache=True, use_listings_cache=False)

    @property
    def arguments(self) -> list[str]:
        """The same options for the command line."""
        return [
            f"--storage-option={name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in self.options.items()
        ]


@pytest.fixture(scope="session")
def s3_server():
    """The address of one server for all tests of a process."""
    moto_server = pytest.importorskip("moto.server")
    import botocore.session
    from moto import backends
    from moto.moto_server.werkzeug_app import MotoRequestHandler

    services = list(backends.list_of_moto_modules())
    with pytest.MonkeyPatch.context() as patch:
        # Each request would list the services that the server knows twice, and be logged.
        patch.setattr(backends, "list_of_moto_modules", lambda: services)
        patch.setattr(MotoRequestHandler, "log_request", lambda *_: None)
        # Each new client would parse the megabytes that describe S3 again, and hold them.
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        yield "http://{}:{}".format(*server.get_host_and_port())
        server.stop()


@pytest.fixture
def s3(s3_server):
    """A fresh bucket in an object store, as a `Store`."""
    options = {"key": KEY, "secret": SECRET, "endpoint_url": s3_server}
    store = Store(s3_server, f"s3://bucket-{uuid4().hex}", options)
    store.filesystem.mkdir(store.url)
    return store


class Proxy:
    """Stands between a client and a store, and fails as it is told to.

    Parameters
    ----------
    upstream : str
        Address of the store.
    """

    def __init__(self, upstream: str) -> None:
        self.requests: list[tuple[str, str]] = []
        self.failure: Callable[[str, str], str | None] = lambda *_request: None
        """Given a request: ``"busy"``, ``"denied"``, ``"cut"`` to end within the body, or None."""
        self._upstream = urlsplit(upstream).netloc
        self._port = 0
        self.rise()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def rise(self) -> None:
        """Answer, and after a fall at the same address as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def fall(self) -> None:
        """Refuse all connections from now on."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                proxy.requests.append((self.command, self.path))
                body = _body(self)
                failure = proxy.failure(self.command, self.path)
                if failure in _REFUSALS:
                    status, content = _REFUSALS[failure]
                    self._reply(status, {"Content-Type": "application/xml"}, content)
                    return
                status, headers, content = self._forwarded(body)
                self._reply(status, headers, content, cut=failure == "cut")

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

            def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
                connection = HTTPConnection(proxy._upstream)
                connection.request(self.command, self.path, body, dict(self.headers))
                response = connection.getresponse()
                content = response.read()
                connection.close()
                return response.status, dict(response.getheaders()), content

            def _reply(
                self, status: int, headers: dict[str, str], content: bytes, *, cut: bool = False
            ) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                length = str(len(content))
                if self.command == "HEAD":
                    own = {name.lower(): value for name, value in headers.items()}
                    length = own.get("content-length", "0")
                self.send_header("Content-Length", length)
                self.end_headers()
                with suppress(ConnectionError):  # the client may have given up
                    self.wfile.write(_sent(self.command, content, cut=cut))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Expect"):  # it comes when it is asked for
        request.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        del request.headers["Expect"]
    return request.rfile.read(int(request.headers.get("Content-Length") or 0))


def _sent(method: str, content: bytes, *, cut: bool) -> bytes:
    if method == "HEAD":
        return b""
    return content[: len(content) // 2] if cut else content


@pytest.fixture
def proxied(s3):
    """The bucket of ``s3`` behind a `Proxy`, with storage options that give up soon."""
    proxy = Proxy(s3.endpoint)
    # Where nothing listens, connecting fails at once; a busy machine may take seconds to accept.
    own = {"connect_timeout": 60, "read_timeout": 5, "retries": {"max_attempts": 0}}
    options = s3.options | {"endpoint_url": proxy.address, "config_kwargs": own}
    yield proxy, Store(proxy.address, s3.url, options)
    proxy.fall()
