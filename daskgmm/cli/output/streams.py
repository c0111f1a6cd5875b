"""The standard streams: some may be closed from the start, and readers may go away."""

import io
import os
import sys
from typing import Any, TextIO

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


class NobodyReadsError(BrokenPipeError):
    """The reader of standard output has seen enough; other pipes that break are no such thing."""


class _Stream(io.RawIOBase):
    """A standard stream below its buffer.

    Parameters
    ----------
    raw : RawIOBase
        The interpreter's own.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.name = raw.name

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """That of the interpreter's."""
        number: int = self._raw.fileno()
        return number

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return bool(self._raw.isatty())


class _Results(_Stream):
    """Standard output, which says by a kind of its own that its reader is gone."""

    def write(self, data: Any) -> int | None:
        """Write some of it."""
        try:
            written: int | None = self._raw.write(data)
        except BrokenPipeError as error:
            raise NobodyReadsError(*error.args) from error
        return written


class _Messages(_Stream):
    """Standard error, where what can't be said is left unsaid.

    Its reader may be gone, its disk full, its terminal closed: none of that is the job's. Each
    line is tried anew, for a disk may have space again.
    """

    def write(self, data: Any) -> int:
        """Write some of it, or nothing as if it were written."""
        try:
            return self._raw.write(data) or len(data)
        except OSError:
            return len(data)


def prepare() -> None:
    """Make the streams such that a job depends on none but its output."""
    if sys.stdout is not None:
        sys.stdout = _over(_Results, sys.stdout)
    leave_messages_unsaid()
    _open_closed()


def leave_messages_unsaid() -> None:
    """Have nothing fail that is written to standard error, whoever writes it."""
    if sys.stderr is not None:
        sys.stderr = _over(_Messages, sys.stderr)


def _over(kind: type[_Stream], stream: TextIO) -> TextIO:
    """The same stream, by another way down."""
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
    """Put the null device in the place of closed streams.

    Else what we say would fail, and what libraries and workers say would end in whichever file
    got the stream's number.
    """
    for name, mode in _MODES.items():
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)  # noqa: FBT003  it takes no keyword
            setattr(sys, name, os.fdopen(number, mode))
