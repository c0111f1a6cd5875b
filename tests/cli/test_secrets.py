"""A planted secret appears nowhere: not in records, logs, results or messages of any run."""

import os
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from moto.server import ThreadedMotoServer

from daskgmm.cli.options import secrets
from daskgmm.data.storage.credentials import without_credentials
from tests.support.clusters import closed_port
from tests.support.command import hurried_command, in_process
from tests.support.paths import IRIS

SECRET = "xPlanted/Secret+42"  # noqa: S105  it opens nothing
FIT = ("--columns", "sepal_length,sepal_width", "-k", 2, "--seed", 0)
LOUD = [("--log-level", "debug"), ("--log-level", "debug", "--log-format", "json")]


def run(folder, *arguments, command=None, **variables):
    """Everything that a command leaves: what it says, and the text of its files."""
    done = in_process(*arguments, command=command, cwd=folder, env=os.environ | variables)
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".toml"]
    return done.code, done.out + done.err, b"".join(path.read_bytes() for path in files)


def check(code, said, files, expected):
    assert code == expected, said
    for form in (SECRET, "xPlanted", "Secret%2B42"):
        assert form not in said
        assert form.encode() not in files


@pytest.fixture(scope="module")
def store():
    """The address of an object store that has the rows."""
    import s3fs

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    files = s3fs.S3FileSystem(key="me", secret=SECRET, endpoint_url=url, skip_instance_cache=True)
    files.mkdir("rows")
    files.put_file(str(IRIS), "rows/iris.csv")
    yield url
    server.stop()


def options(url):
    """Of the store, on the command line."""
    retries = '{"retries": {"max_attempts": 0}, "connect_timeout": 1}'
    values = ["key=me", f"secret={SECRET}", f"endpoint_url={url}", f"config_kwargs={retries}"]
    return [word for value in values for word in ("--storage-option", value)]


@pytest.mark.slow
def test_in_runs_on_a_store_by_options(tmp_path, store):
    fit = ("fit", "s3://rows/iris.csv", *FIT, "-o", "run", *options(store), *LOUD[0])
    code, said, files = run(tmp_path, *fit)
    check(code, said, files, 0)
    assert b"secret=***" in files
    check(*run(tmp_path, "score", "run", "s3://rows/iris.csv", *options(store), *LOUD[1]), 0)


@pytest.mark.parametrize("loud", LOUD, ids=["text", "json"])
@pytest.mark.slow
def test_in_a_run_on_what_the_store_has_not(tmp_path, store, loud):
    fit = ("fit", "s3://rows/nope.csv", *FIT, "-o", "run", *options(store), *loud)
    check(*run(tmp_path, *fit), 66)


@pytest.mark.slow
def test_in_runs_on_a_store_by_a_file_and_a_variable(tmp_path, store):
    (tmp_path / "job.toml").write_text(
        f'inputs = "s3://rows/iris.csv"\noutput = "run"\n[storage-options]\n'
        f'key = "me"\nsecret = "{SECRET}"\nendpoint_url = "{store}"\n'
    )
    check(*run(tmp_path, "fit", "--config", "job.toml", *FIT, *LOUD[0]), 0)
    given = f"key=me secret={SECRET} endpoint_url={store}"
    fit = ("fit", "s3://rows/iris.csv", *FIT, "-o", "run", *LOUD[1])
    check(*run(tmp_path, *fit, DASKGMM_STORAGE_OPTION=given), 0)


@pytest.mark.parametrize(
    ("user", "loud"), [("", LOUD[1]), (f"me:{SECRET.replace('/', '%2F')}@", LOUD[0])]
)
@pytest.mark.slow
def test_in_failures_to_reach_a_store(tmp_path, user, loud):
    url = f"http://{user}127.0.0.1:{closed_port()}"
    fit = ("fit", "s3://rows/iris.csv", *FIT, "-o", "run", *options(url), *loud)
    code, said, files = run(tmp_path, *fit, command=hurried_command())
    check(code, said, files, code)
    assert code in (2, 65, 66, 75)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.path = self.path.partition("?")[0]
        super().do_GET()


@pytest.fixture(scope="module")
def website():
    """The host and port of a web server that has the rows."""
    handler = partial(Quiet, directory=IRIS.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "{}:{}".format(*server.server_address)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "loud"), [("iris.csv", LOUD[1]), ("nope.csv", LOUD[0]), ("nope.csv", LOUD[1])]
)
@pytest.mark.slow
def test_in_runs_on_addresses_with_passwords_and_signatures(tmp_path, website, loud, name):
    # As in a signed URL, where a slash is quoted.
    quoted = SECRET.replace("/", "%2F")
    url = f"http://me:{quoted}@{website}/{name}?X-Amz-Signature={quoted}"
    code, said, files = run(tmp_path, "fit", url, *FIT, "-o", "run", *loud)
    check(code, said, files, 0 if name == "iris.csv" else 66)


@pytest.mark.slow
def test_in_a_cluster_s_workers(tmp_path, store):
    fit = ("fit", "s3://rows/iris.csv", *FIT, "-o", "run", *options(store), "--workers", 1)
    check(*run(tmp_path, *fit, *LOUD[1]), 0)


@pytest.fixture
def learned():
    """Nothing is known before and after."""
    secrets.forget()
    yield
    secrets.forget()


def test_values_inside_an_option_are_masked_and_what_tells_the_place_is_not(learned):
    secrets.remember("client_kwargs", {"endpoint_url": "http://store", "tokens": ["hunter2"]})
    assert secrets.masked("hunter2 at http://store") == "*** at http://store"


def test_a_secret_is_masked_quoted_too(learned):
    secrets.remember("key", 'a/b+"c"')
    assert secrets.masked("?sig=a%2Fb%2B%22c%22") == "?sig=***"
    assert secrets.masked(repr({"k": 1}) + r' "a/b+\"c\""') == "{'k': 1} \"***\""


def test_what_the_environment_calls_secret_is_masked(learned, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    secrets.forget()
    assert secrets.masked("key hunter2hunter2") == "key ***"


@pytest.mark.parametrize(
    "text",
    [
        "tcp://127.0.0.1:8786", "s3://rows/day=1/part-?.parquet", "a@b.c", "abfs://in@host/x",
        "tls://h:1 and user@host", "20:15:03 it began",
    ],
)  # fmt: skip
def test_text_without_credentials_is_left_as_it_is(text):
    assert without_credentials(text) == text
