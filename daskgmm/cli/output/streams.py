"""Standard streams that survive being closed at the start, and readers that go away."""

import io
import os
import sys
from typing import Any, TextIO

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


class OutputClosedError(BrokenPipeError):
    """The reader of standard output has closed it; other broken pipes are not meant."""


class _Stream(io.RawIOBase):
    """The raw stream below the buffer of a standard stream.

    Parameters
    ----------
    raw : RawIOBase
        The raw stream of the interpreter.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.name = raw.name

    def writable(self) -> bool:
        """Always true: standard streams here are written to."""
        return True

    def fileno(self) -> int:
        """The file descriptor of the interpreter's stream."""
        number: int = self._raw.fileno()
        return number

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return bool(self._raw.isatty())


class _Results(_Stream):
    """Standard output, which raises an error of its own once its reader is gone."""

    def write(self, data: Any) -> int | None:
        """Write bytes and return how many were written."""
        try:
            written: int | None = self._raw.write(data)
        except BrokenPipeError as error:
            raise OutputClosedError(*error.args) from error
        return written


class _Messages(_Stream):
    """Standard error, which drops messages that can't be written.

    The reader may be gone, the disk full or the terminal closed; the job goes on regardless.
    Each line is tried anew, because a disk may have space again.
    """

    def write(self, data: Any) -> int:
        """Write bytes; those that can't be written are dropped and count as written."""
        try:
            return self._raw.write(data) or len(data)
        except OSError:
            return len(data)


def prepare() -> None:
    """Replace the standard streams, so that only a failure of standard output ends a job."""
    if sys.stdout is not None:
        sys.stdout = _over(_Results, sys.stdout)
    drop_unwritable_messages()
    _open_closed()


def drop_unwritable_messages() -> None:
    """Replace standard error by a stream whose writes never fail."""
    if sys.stderr is not None:
        sys.stderr = _over(_Messages, sys.stderr)


def _over(kind: type[_Stream], stream: TextIO) -> TextIO:
    """The same text stream on top of another raw stream."""
    assert isinstance(stream, io.TextIOWrapper)  # noqa: S101  as the interpreter made it
    stream.flush()
    buffered = isinstance(stream.buffer, io.BufferedWriter)
    below = kind(stream.buffer.raw if buffered else stream.buffer)
    return io.TextIOWrapper(
        io.BufferedWriter(below) if buffered else below,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _open_closed() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise our own writes would fail, and output of libraries and workers would end up in a
    file that got the descriptor of the stream.
    """
    for name, mode in _MODES.items():
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)  # noqa: FBT003  it takes no keyword
            setattr(sys, name, os.fdopen(number, mode))
