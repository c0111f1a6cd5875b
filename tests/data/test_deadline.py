"""Last words: an interrupt waits for none, and what fails in them hides nothing."""

import threading
from contextlib import contextmanager

import pytest

from daskgmm.data.storage import deadline
from daskgmm.data.storage.deadline import try_after_error


@pytest.fixture
def stuck(monkeypatch):
    """What ends with the test only, and an event that it has begun."""
    monkeypatch.setattr(deadline, "SECONDS_AFTER_INTERRUPT", 0.01)
    begun, free = threading.Event(), threading.Event()

    def action():
        begun.set()
        free.wait()

    yield begun, action
    free.set()


def test_who_interrupts_does_not_wait_for_a_store_that_never_answers(stuck):
    begun, action = stuck
    try_after_error(KeyboardInterrupt(), action)
    assert begun.wait(20)


def test_a_failure_has_time_for_them():
    done = []
    try_after_error(OSError(), lambda: done.append(threading.current_thread()))
    assert done == [threading.current_thread()]


@pytest.mark.parametrize("error", [OSError("the disk"), KeyboardInterrupt()])
def test_what_fails_in_them_hides_nothing(error):
    def failing():
        raise ValueError("the tidying up")

    with pytest.raises(type(error)) as raised, _last(failing):
        raise error
    assert raised.value is error


@contextmanager
def _last(action):
    try:
        yield
    except BaseException as caught:
        try_after_error(caught, action)
        raise
