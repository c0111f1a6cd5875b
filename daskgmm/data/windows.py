"""A store's file for libraries that hold a lock while they read, as HDF5's does.

Bytes of a store are fetched by another thread. Were they fetched under the lock, and were Python
in that thread to collect an object of the library's, each thread would wait for the other. So a
window only gives what was fetched before, and what is missed is fetched between two attempts.
"""

import os
from collections.abc import Callable
from io import RawIOBase
from typing import Any, TypeVar

_PIECE = 2**18
_KEPT = 2**4
"""Pieces that stay from one action to the next: what a library looks up lies close together."""

T = TypeVar("T")


class MissedError(OSError):
    """Bytes aren't here yet."""


class Window(RawIOBase):
    """A file-like object of the bytes that were fetched so far.

    Parameters
    ----------
    stream : file-like
        The store's file.
    size : int
        Its bytes.
    """

    def __init__(self, stream: Any, size: int) -> None:
        self._stream = stream
        self._size = size
        self._place = 0
        self._pieces: dict[int, bytes] = {}
        self._missed: set[int] = set()

    def repeat(self, action: Callable[[], T]) -> T:
        """Call an action that reads here until it has all that it needs."""
        for number in list(self._pieces)[:-_KEPT]:
            del self._pieces[number]
        while True:
            try:
                found = action()
            except Exception:
                if not self._missed:
                    raise
            else:
                if not self._missed:
                    return found
            self._fetch()

    def want(self, start: int, size: int) -> None:
        """Have some bytes fetched when the action ends."""
        pieces = range(start // _PIECE, -(-(start + size) // _PIECE))
        self._missed.update(number for number in pieces if number not in self._pieces)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place, as files do."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}
        self._place = origin[whence] + offset
        return self._place

    def tell(self) -> int:
        """The place."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from here on; raises `MissedError` where bytes aren't here yet."""
        start, end = self._place, min(self._place + len(buffer), self._size)
        missed = len(self._missed)
        self.want(start, max(end - start, 0))
        if len(self._missed) > missed:
            raise MissedError
        for number in range(start // _PIECE, -(-end // _PIECE)):
            first = number * _PIECE
            piece = self._pieces[number][max(start - first, 0) : end - first]
            place = max(first - start, 0)
            buffer[place : place + len(piece)] = piece
        self._place = end
        return end - start

    def _fetch(self) -> None:
        """Fetch what was missed, what is adjacent at once."""
        numbers = sorted(self._missed)
        self._missed.clear()
        while numbers:
            count = 1
            while count < len(numbers) and numbers[count] == numbers[0] + count:
                count += 1
            self._stream.seek(numbers[0] * _PIECE)
            content = self._stream.read(count * _PIECE)
            for index in range(count):
                self._pieces[numbers[index]] = content[index * _PIECE : (index + 1) * _PIECE]
            numbers = numbers[count:]
