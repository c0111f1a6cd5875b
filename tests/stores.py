"""An object store as tests need one: moto's server over real HTTP on loopback."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

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

    @property
    def filesystem(self) -> Any:
        """What a test puts files there with: its own, without a listing from before."""
        import s3fs

        return s3fs.S3FileSystem(**self.options, skip_instance_cache=True, use_listings_cache=False)

    @property
    def arguments(self) -> list[str]:
        """The same options for the command line."""
        return [f"--storage-option={name}={value}" for name, value in self.options.items()]


@pytest.fixture(scope="session")
def s3_server():
    """The address of one server for all tests of a process."""
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server):
    """A fresh bucket in an object store, as a `Store`."""
    options = {"key": KEY, "secret": SECRET, "endpoint_url": s3_server}
    store = Store(s3_server, f"s3://bucket-{uuid4().hex}", options)
    store.filesystem.mkdir(store.url)
    return store
