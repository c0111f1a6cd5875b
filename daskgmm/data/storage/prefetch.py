"""Files in stores for libraries that hold a lock while they read, as HDF5's does.

Another thread fetches the bytes of a store. If they were fetched while the library holds its
lock, and Python collected one of the library's objects in that thread, the two threads would wait
for each other. So reads only return bytes that were fetched before; missing ones are fetched
between two attempts.
"""

import os
from collections.abc import Callable
from io import RawIOBase
from typing import Any, TypeVar

_PIECE_BYTES = 2**18
_PIECES_KEPT = 2**4
"""Pieces kept from one action to the next: a library's look-ups lie close together."""
T = TypeVar("T")


class NotFetchedError(OSError):
    """A read of bytes that are not fetched yet."""


class PrefetchedFile(RawIOBase):
    """A file-like object that only returns bytes fetched before.

    Parameters
    ----------
    stream : file-like
        The store's file.
    size : int
        Size of the file (bytes).
    """

    def __init__(self, stream: Any, size: int) -> None:
        self._stream = stream
        self._size = size
        self._position = 0
        self._pieces: dict[int, bytes] = {}
        self._missed: set[int] = set()

    def repeat(self, action: Callable[[], T]) -> T:
        """Repeat an action that reads here until all bytes that it needs are fetched."""
        for number in list(self._pieces)[:-_PIECES_KEPT]:
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
        """Fetch some bytes when the action ends."""
        pieces = range(start // _PIECE_BYTES, -(-(start + size) // _PIECE_BYTES))
        self._missed.update(number for number in pieces if number not in self._pieces)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, as files do."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        self._position = origin[whence] + offset
        return self._position

    def tell(self) -> int:
        """The position of the next read."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from this position; raise `NotFetchedError` if bytes are missing."""
        start, end = self._position, min(self._position + len(buffer), self._size)
        missed = len(self._missed)
        self.want(start, max(end - start, 0))
        if len(self._missed) > missed:
            raise NotFetchedError
        for number in range(start // _PIECE_BYTES, -(-end // _PIECE_BYTES)):
            first = number * _PIECE_BYTES
            piece = self._pieces[number][max(start - first, 0) : end - first]
            begin = max(first - start, 0)
            buffer[begin : begin + len(piece)] = piece
        self._position = end
        return end - start

    def _fetch(self) -> None:
        """Fetch the missed pieces, adjacent ones in one request."""
        numbers = sorted(self._missed)
        self._missed.clear()
        while numbers:
            count = 1
            while count < len(numbers) and numbers[count] == numbers[0] + count:
                count += 1
            self._stream.seek(numbers[0] * _PIECE_BYTES)
            content = self._stream.read(count * _PIECE_BYTES)
            for index in range(count):
                self._pieces[numbers[index]] = content[
                    index * _PIECE_BYTES : (index + 1) * _PIECE_BYTES
                ]
            numbers = numbers[count:]
