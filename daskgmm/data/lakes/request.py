"""The version and the partitions that are read of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from daskgmm.data.files.hive import Condition
from daskgmm.errors import ConfigurationError


@dataclass(frozen=True)
class TableRequest:
    """What to read of a table.

    Parameters
    ----------
    where : tuple of Condition
        Conditions on partition keys; all must hold.
    version : int or str or None
        Number or name of a version; ``None`` for the current one.
    as_of : datetime or None
        Time, with a zone, for the version that was current then.
    storage_options : mapping
        Passed to the store; may hold credentials, so it is never shown.
    """

    where: tuple[Condition, ...] = ()
    version: int | str | None = None
    as_of: datetime | None = None
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.version is not None and self.as_of is not None:
            raise ConfigurationError(
                f"Both a version ({self.version}) and a time ({self.as_of}) were given.",
                "Give only one of them.",
            )

    @property
    def number(self) -> int | None:
        """The version as a number, ``None`` where none was given.

        Raises
        ------
        ConfigurationError
            It is not a whole number of at least 0.
        """
        if self.version is None:
            return None
        text = str(self.version)
        if not (text.isascii() and text.isdigit()):
            raise ConfigurationError(
                f"The version is {self.version!r}.",
                "Give version= (--version) a whole number from 0, such as 12.",
            )
        return int(text)


def moment(as_of: str | date | None) -> datetime | None:
    """A time with its zone: UTC unless given; a date stands for its first moment.

    >>> moment("2026-11-21").isoformat()
    '2026-11-21T00:00:00+00:00'

    Raises
    ------
    ConfigurationError
        It is not a date or time as ISO 8601 writes them.
    """
    if as_of is None:
        return None
    try:
        text = as_of.isoformat() if isinstance(as_of, date) else as_of
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"The time is {as_of!r}.",
            "Give as_of= (--as-of) a date or time such as 2026-11-21 or 2026-11-21T05:00:00Z.",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def require_keys(where: Sequence[Condition], keys: Sequence[str], shown: str) -> None:
    """Raise ConfigurationError unless all conditions are on keys of a table's partitions."""
    for each in where:
        if each.key not in keys:
            known = f"Its keys are {', '.join(keys)}" if keys else "It is not partitioned"
            raise ConfigurationError(
                f"{shown} is not partitioned by {each.key}, so {each} can't be applied.",
                f"{known}; rows can't be chosen by the values of other columns.",
            )
