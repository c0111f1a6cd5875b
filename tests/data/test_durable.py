"""Files that appear whole or not at all."""

import stat
import sys
from itertools import count

import pytest

from daskgmm.data.storage.durable import write_whole


class Interrupt:
    """Raises KeyboardInterrupt at a line of what is run, as a signal may; at no later one."""

    def __init__(self, at):
        self.left, self.raised = at, False

    def __call__(self, frame, event, argument):
        if event == "line" and not self.raised:
            self.left -= 1
            if self.left < 0:
                self.raised = True
                raise KeyboardInterrupt
        return self


def interrupted(at, function, *arguments):
    """Call a function with an interrupt at one of its lines; return whether there was one."""
    interrupt, before = Interrupt(at), sys.gettrace()
    sys.settrace(interrupt)
    try:
        function(*arguments)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return interrupt.raised


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # closed by nobody
def test_wherever_a_signal_comes_the_file_is_whole_and_alone(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    found = set()
    for at in count():
        raised = interrupted(at, write_whole, path, b"after")
        assert [one.name for one in tmp_path.iterdir()] == ["file"], at
        found.add(path.read_bytes())
        if not raised:
            break
    assert at > 10
    assert found == {b"before", b"after"}
    assert path.read_bytes() == b"after"


def test_its_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    write_whole(tmp_path / "file", b"content")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "file")}
    assert len(modes) == 1
