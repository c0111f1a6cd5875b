"""Blocks in pieces of bounded size: what is said of rows takes memory too."""

from collections.abc import Iterator

VALUES_AT_ONCE = 2**21


def windows(n_rows: int, n_values: int) -> Iterator[slice]:
    """Cut rows into windows, given the values that a row and what is said of it have.

    A log-density may hang in its last bit on the rows around it, so whoever compares those of
    two passes cuts rows in the same way in both.
    """
    size = max(VALUES_AT_ONCE // n_values, 1)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
