"""The standard streams, of which whoever starts the process may have closed some."""

import os
import sys

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}


def open_closed() -> None:
    """Put the null device in the place of closed streams.

    Else what we say would fail, and what libraries and workers say would end in whichever file
    got the stream's number.
    """
    for name, mode in _MODES.items():
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)  # noqa: FBT003  it takes no keyword
            setattr(sys, name, os.fdopen(number, mode))
