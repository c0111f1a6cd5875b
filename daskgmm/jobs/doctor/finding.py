"""What a check finds."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Level(StrEnum):
    """How much a finding hurts."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    level : Level
    fact : str
        With the numbers.
    remedy : str
        Nothing where all is well.
    """

    level: Level
    fact: str
    remedy: str = ""


Findings: TypeAlias = Iterator[Finding]


def ok(fact: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, fact)


def warning(fact: str, remedy: str) -> Finding:
    """It may be slow, or fail later."""
    return Finding(Level.WARNING, fact, remedy)


def problem(fact: str, remedy: str) -> Finding:
    """It will fail, or be much slower."""
    return Finding(Level.PROBLEM, fact, remedy)


def gib(n_bytes: float) -> str:
    """A size to a tenth of a GiB, so that workers of one kind find the same, which is told once."""
    return f"{n_bytes / 2**30:.1f} GiB"
