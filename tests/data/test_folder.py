"""Folders for outputs: the same contract on a local disk, in memory and in an object store."""

import os
import pickle
import subprocess
import sys
from uuid import uuid4

import pytest

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ClusterError, ConfigurationError, OutputError


@pytest.fixture(params=["local", "memory", "s3"])
def place(request, tmp_path):
    """A folder that is not there yet."""
    if request.param == "local":
        return Folder.of(tmp_path / "run", {})
    if request.param == "memory":
        return Folder.of(f"memory://{uuid4().hex}/run", {})
    store = request.getfixturevalue("s3")
    return Folder.of(f"{store.url}/run", store.options)


def test_a_file_is_there_as_it_was_written_last(place):
    place.make()
    assert (place.read("file"), place.names()) == (None, [])
    place.write("file", b"one")
    place.write("file", b"two")
    assert (place.read("file"), place.names()) == (b"two", ["file"])


def test_a_file_is_created_once(place):
    place.make()
    assert place.create("file", b"one")
    assert not place.create("file", b"two")
    assert place.read("file") == b"one"


def test_files_and_folders_go_and_may_be_gone(place):
    place.make()
    inner = place.inside("inner")
    inner.make()
    inner.write("file", b"")
    assert place.names() == ["inner"]
    place.remove("inner")
    place.remove("inner")
    assert place.names() == []


def test_a_store_tells_when_a_file_was_written(place):
    place.make()
    assert place.modified("file") is None
    place.write("file", b"one")
    first = place.modified("file")
    place.write("file", b"two")
    assert place.modified("file") >= first
    assert first.tzinfo is not None


def test_a_place_travels_to_other_processes(place):
    place.make()
    pickle.loads(pickle.dumps(place)).write("file", b"x")  # noqa: S301  our own
    assert place.read("file") == b"x"


def test_a_local_folder_is_made_where_its_parent_is(tmp_path):
    with pytest.raises(OutputError, match=r"none does not exist\. Make it: mkdir -p"):
        Folder.of(tmp_path / "none" / "run", {}).make()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is not a folder"):
        Folder.of(tmp_path / "file" / "run", {}).make()


def test_names_hold_no_credentials_nor_queries(tmp_path):
    place = Folder.of("memory://bucket/run?token=hunter2", {})
    assert "hunter2" not in f"{place!r}{place.name}"


def test_an_unknown_protocol_is_named():
    with pytest.raises(ConfigurationError, match="nope://bucket/run"):
        Folder.of("nope://bucket/run", {})


def test_a_link_is_followed_so_that_it_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    Folder.of(tmp_path / "link", {}).write("file", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"x"


def test_a_local_file_is_as_open_as_others(tmp_path):
    place = Folder.of(tmp_path, {})
    place.write("file", b"")
    (tmp_path / "other").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.slow
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    place = Folder.of(tmp_path, {})
    place.write("file", b"old")
    script = (
        "import resource, signal, sys\n"
        "from daskgmm.data.storage.folder import Folder\n"
        "from daskgmm.errors import OutputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    Folder.of(sys.argv[1], {}).write('file', bytes(5000))\n"
        "except OutputError as error:\n"
        "    print(error.cause)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"{tmp_path}/file can't be written: File too large.\n"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_told(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for attempt in (lambda: Folder.of(closed / "run", {}).make(), lambda: Folder.of(closed, {})):
        with pytest.raises(OutputError, match="permission denied"):
            attempt().write("file", b"")


def test_a_bucket_that_is_not_there_is_told(s3):
    with pytest.raises(OutputError, match="bucket does not exist"):
        Folder.of("s3://no-such-bucket/run", s3.options).write("file", b"")


def _opened(place):
    with place.open("file") as stream:
        stream.read()


DEEDS = {
    "read": lambda place: place.read("file"),
    "names": lambda place: place.names(),
    "sizes": lambda place: place.sizes(),
    "modified": lambda place: place.modified("file"),
    "open": _opened,
    "write": lambda place: place.write("file", b"x"),
    "create": lambda place: place.create("other", b"x"),
    "remove": lambda place: place.remove("file"),
    "remove_all": lambda place: place.remove_all(["file"]),
    "copy": lambda place: place.copy("file", place.inside("inner"), "file"),
}


@pytest.mark.slow
@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize(("failure", "kind"), [("busy", ClusterError), ("denied", OutputError)])
def test_whatever_a_store_refuses_is_told_by_its_name(proxied, deed, failure, kind):
    proxy, store = proxied
    place = Folder.of(f"{store.url}/run", store.options)
    place.filesystem.retries = 1
    place.write("file", b"x")
    proxy.failure = lambda *_request: failure
    with pytest.raises(kind, match=f"{store.url}/run"):
        DEEDS[deed](place)


def test_a_store_that_is_down_holds_not_nothing(proxied):
    proxy, store = proxied
    place = Folder.of(f"{store.url}/run", store.options)
    place.filesystem.retries = 1
    proxy.fall()
    for deed in (DEEDS["read"], DEEDS["names"]):
        with pytest.raises(ClusterError, match="can't be reached"):
            deed(place)


def test_a_file_may_lie_at_a_stores_root():
    folder, name = Folder.of_file("memory://rows", {})
    folder.write(name, b"here")
    assert folder.read("rows") == b"here"
    folder.remove("rows")
