import os

import pytest

from daskgmm.errors import OutputError
from daskgmm.jobs import folders
from daskgmm.jobs.folders import appearing, local_folder


def write(folder, text="new"):
    (folder / "file").write_text(text)


def test_a_folder_appears_when_all_is_written_and_not_before(tmp_path):
    target = tmp_path / "run"
    with appearing(target) as folder:
        write(folder)
        assert not target.exists()
        assert folder.parent == tmp_path
    assert (target / "file").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "run"
    target.mkdir()
    write(target, "old")

    def fail():
        with appearing(target) as folder:
            write(folder)
            raise error

    with pytest.raises(error):
        fail()
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_there_is_replaced(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    write(target, "old")
    with appearing(target) as folder:
        write(folder)
    assert (target / "file").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_as_open_as_others(tmp_path):
    with appearing(tmp_path / "run"):
        pass
    (tmp_path / "other").mkdir()
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "other").stat().st_mode


def leftover(tmp_path, process, host):
    path = tmp_path / f".run.tmp-{host}-{process}-abc"
    path.mkdir()
    return path


def test_only_what_dead_processes_of_this_host_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_is_alive", lambda process: process == 1)
    dead = leftover(tmp_path, 2, folders._HOST)
    kept = [
        leftover(tmp_path, 1, folders._HOST),
        leftover(tmp_path, 2, "elsewhere"),
        leftover(tmp_path, "x", folders._HOST),
    ]
    with appearing(tmp_path / "run"):
        pass
    assert not dead.exists()
    assert all(path.exists() for path in kept)


def test_a_living_process_is_told_from_a_dead_one():
    assert folders._is_alive(os.getpid())
    child = os.posix_spawn("/bin/true", ["/bin/true"], {})
    os.waitpid(child, 0)
    assert not folders._is_alive(child)


def test_a_link_is_followed_so_that_it_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with appearing(local_folder(str(tmp_path / "link"))) as folder:
        write(folder)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "new"


def test_outputs_that_cannot_be_are_refused_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    for name in ("none/run", "file/run"):
        with pytest.raises(OutputError):
            local_folder(str(tmp_path / name))
    with pytest.raises(OutputError, match="URL"):
        local_folder("memory://run")
