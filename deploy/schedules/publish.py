"""Point to the newest night that was accepted, in a file that appears whole and never goes back.

Start, as nightly.sh and prefect_flow.py do::

    python publish.py s3://results/latest.json 2026-11-24 model=s3://results/models/2026-11-24

Nothing in it to edit. Readers open ``latest.json`` and follow it; what it pointed to before stays.
"""

import json
import sys
from collections.abc import Mapping

from daskgmm.data.storage.folder import Folder
from daskgmm.errors import ClusterError

PASSING_FAILURE = 75


def publish(pointer: str, day: str, parts: Mapping[str, str]) -> bool:
    """Point to a night's parts, unless a later one is there; tells whether it did."""
    folder, name = Folder.of_file(pointer, {})
    known = folder.read(name)
    if known is not None and json.loads(known)["day"] > day:
        return False
    folder.write(name, json.dumps({"day": day, **parts}, indent=2).encode() + b"\n")
    return True


def main(pointer: str, day: str, *parts: str) -> int:
    """Publish, with the exit code of a passing failure where the store has one."""
    try:
        done = publish(pointer, day, dict(part.split("=", 1) for part in parts))
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return PASSING_FAILURE
    print(f"{pointer} points to {day}" if done else f"{pointer} points to a later night")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
