"""A store that takes connections and never answers is given up in time."""

import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from daskgmm import open_dataset
from daskgmm.data.storage import retry
from daskgmm.data.storage.folder import Folder
from daskgmm.data.storage.urls import open_file_system
from daskgmm.errors import ClusterError
from tests.support.command import here

__all__ = ["here"]

CREDENTIALS = {"key": "AKIADASKGMMTEST", "secret": "a-secret", "endpoint_url": "http://127.0.0.1:1"}


class Silent:
    """A socket that takes connections and keeps them."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.taken = []
        self.thread = threading.Thread(target=self._take)
        self.thread.start()

    @property
    def options(self):
        """Storage options of few and short attempts."""
        host, port = self.server.getsockname()
        own = {"connect_timeout": 1, "read_timeout": 0.2, "retries": {"max_attempts": 0}}
        return {**CREDENTIALS, "endpoint_url": f"http://{host}:{port}", "config_kwargs": own}

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        for each in (self.server, *self.taken):
            each.close()

    def _take(self):
        with suppress(OSError):  # closed
            while True:
                self.taken.append(self.server.accept()[0])


@contextmanager
def silent():
    store = Silent()
    try:
        yield store
    finally:
        store.close()


def configured(options):
    """What botocore is told for a store."""
    filesystem, _ = open_file_system("s3://bucket/rows.npy", {**CREDENTIALS, **options})
    return filesystem._prepare_config_kwargs()


def test_by_default_silence_is_waited_out_in_less_than_three_minutes():
    told = configured({})
    attempts = 5 * told["retries"]["total_max_attempts"]  # s3fs's own times botocore's
    assert attempts * told["read_timeout"] <= 150  # beside the pauses between them
    assert attempts * told["connect_timeout"] <= 150
    assert told == Folder.of("s3://bucket/run", CREDENTIALS).filesystem._prepare_config_kwargs()


def test_what_the_user_sets_comes_first(monkeypatch):
    told = configured({"config_kwargs": {"read_timeout": 60}})
    assert (told["read_timeout"], told["retries"]["mode"]) == (60, "standard")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    assert "retries" not in configured({})


def test_what_took_long_to_fail_is_not_tried_again(monkeypatch):
    monkeypatch.setattr(retry, "NO_RETRY_AFTER_SECONDS", 0.5)
    with silent() as store, pytest.raises(ClusterError, match="can't be reached"):
        open_dataset("s3://bucket/rows.npy", storage_options=store.options)
    assert len(store.taken) <= 5  # of s3fs; with ours there would be twenty


def test_the_command_ends_in_exit_75(here, tmp_path, monkeypatch):
    monkeypatch.setattr(retry, "NO_RETRY_AFTER_SECONDS", 0.5)
    with silent() as store:
        options = store.options
        own = options.pop("config_kwargs")
        arguments = [f"--storage-option={name}={value}" for name, value in options.items()]
        text = str(own).replace("'", '"')
        arguments.append(f"--storage-option=config_kwargs={text}")
        done = here("fit", "s3://bucket/rows.npy", "-k", 2, "-o", tmp_path / "run", *arguments)
    assert done.code == 75
    assert "error: s3://bucket/rows.npy can't be reached: " in done.err
    assert "run it again" in done.err
