"""What a scheduler knows of the fits on its cluster."""

from dataclasses import dataclass, field

from daskgmm.monitoring.history import History
from daskgmm.monitoring.state import Tally


@dataclass(frozen=True, eq=False)
class Board:
    """All that the parts of the dashboard show.

    Parameters
    ----------
    history : History
    tally : Tally
    """

    history: History = field(default_factory=History)
    tally: Tally = field(default_factory=Tally)
