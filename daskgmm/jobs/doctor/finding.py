"""Findings of checks: a fact, its severity and a remedy."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """Result of a check.

    Parameters
    ----------
    level : Level
    fact : str
        The fact, with its numbers.
    remedy : str
        What to do; empty where nothing is wrong.
    """

    level: Level
    fact: str
    remedy: str = ""


Findings: TypeAlias = Iterator[Finding]


def ok(fact: str) -> Finding:
    """Finding that nothing is wrong."""
    return Finding(Level.OK, fact)


def warning(fact: str, remedy: str) -> Finding:
    """Finding that may make a job slow, or make it fail later."""
    return Finding(Level.WARNING, fact, remedy)


def problem(fact: str, remedy: str) -> Finding:
    """Finding that makes a job fail, or much slower."""
    return Finding(Level.PROBLEM, fact, remedy)


def gib(n_bytes: float) -> str:
    """A size as text, to a tenth of a GiB: workers of one kind then report the same."""
    return f"{n_bytes / 2**30:.1f} GiB"
