"""Print the model of the last accepted night before a day, from which that day's fit starts.

Start, as nightly.sh and prefect_flow.py do::

    python previous.py s3://results 2026-11-24

Nothing in it to edit. A night is accepted if its labels are whole; it prints nothing where there is
none. The answer for a day does not change with later nights, so a day that is made again has the
same start.
"""

import re
import sys

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ClusterError

PASSING_FAILURE = 75
DAY = re.compile(r"\d{4}-\d\d-\d\d")


def previous(results: str, day: str) -> str | None:
    """The model of the last accepted night before a day."""
    labels, models = (Folder.of(f"{results}/{name}", {}) for name in ("labels", "models"))
    nights = [name for name in labels.names() if DAY.fullmatch(name) and name < day]
    for night in reversed(nights):
        accepted = "_SUCCESS" in labels.inside(night).names()
        if accepted and "model.safetensors" in models.inside(night).names():
            return f"{results}/models/{night}"
    return None


def main(results: str, day: str) -> int:
    """Print it, with the exit code of a passing failure where the store has one."""
    try:
        print(previous(results, day) or "")
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return PASSING_FAILURE
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
