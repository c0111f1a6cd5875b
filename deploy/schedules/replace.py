"""Put the model of a day that was made again in the place of the day's earlier one.

Start, as nightly.sh does where FORCE is set::

    python replace.py s3://results/again/2026-11-24 s3://results/models/2026-11-24

Nothing in it to edit. A run that is under way in that place is left alone (exit code 73).
"""

import sys

from daskgmm.cli.exits import code_for
from daskgmm.data.storage.folder import Folder
from daskgmm.errors import DaskGMMError
from daskgmm.jobs.locks import locked

FILES = "model.safetensors", "run.json"
"""Of a run; by the record, which comes last, readers know that the model is whole."""


def replace(made: str, place: str) -> None:
    """Write a run's files over those of another one, and remove it."""
    new, old = Folder.of(made, {}), Folder.of(place, {})
    content = {name: new.read(name) for name in FILES}
    old.make()
    with locked(old) as lock:
        for name, data in content.items():
            assert data is not None  # noqa: S101  labels have been made with it
            lock.check()
            old.write(name, data)
    folder, name = Folder.of_file(made, {})
    folder.remove(name)


def main(made: str, place: str) -> int:
    """Replace it, with the commands' exit codes."""
    try:
        replace(made, place)
    except DaskGMMError as error:
        print(f"error: {error}", file=sys.stderr)
        return code_for(type(error))
    print(f"{place} is the model that was made again")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
