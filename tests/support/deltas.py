"""Delta tables with features that the package ``deltalake`` reads but does not write."""

import base64
import json
import struct
from pathlib import Path

from pyroaring import BitMap64

_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_MAGIC = 1681511377


def commits(table):
    """The files of a table's log, oldest first."""
    return sorted((Path(table) / "_delta_log").glob("*.json"))


def actions(commit):
    return [json.loads(line) for line in commit.read_text().splitlines()]


def write_actions(commit, found):
    commit.write_text("\n".join(map(json.dumps, found)))


def remove_rows(table, positions, *, of=lambda _add: True):
    """Remove rows of the file of the newest commit by a deletion vector, as Spark does."""
    newest = commits(table)[-1]
    add = next(each["add"] for each in actions(newest) if "add" in each and of(each["add"]))
    data = struct.pack("<I", _MAGIC) + BitMap64(positions).serialize()
    data += b"\0" * (-len(data) % 4)
    text = base64.b85encode(data).translate(bytes.maketrans(_B85, _Z85)).decode()
    vector = {
        "storageType": "i",
        "pathOrInlineDv": text,
        "sizeInBytes": len(data),
        "cardinality": len(positions),
    }
    removed = {name: add[name] for name in ("path", "partitionValues", "size")}
    number = int(newest.stem) + 1
    write_actions(
        newest.with_name(f"{number:020}.json"),
        [
            {"commitInfo": {"timestamp": add["modificationTime"], "operation": "DELETE"}},
            {"remove": {**removed, "deletionTimestamp": 1, "dataChange": True}},
            {"add": {**add, "deletionVector": vector}},
        ],
    )


def map_columns(table, names):
    """Call the columns of a new table otherwise than its files do, as a renaming in Spark does."""
    first = commits(table)[0]
    found = actions(first)
    for each in found:
        if "protocol" in each:
            each["protocol"] = {"minReaderVersion": 2, "minWriterVersion": 5}
        if "metaData" in each:
            metadata = each["metaData"]
            schema = json.loads(metadata["schemaString"])
            for number, field in enumerate(schema["fields"], 1):
                field["metadata"] = {
                    "delta.columnMapping.id": number,
                    "delta.columnMapping.physicalName": field["name"],
                }
                field["name"] = names[field["name"]]
            metadata["schemaString"] = json.dumps(schema)
            metadata["partitionColumns"] = [names[own] for own in metadata["partitionColumns"]]
            metadata["configuration"] = {
                "delta.columnMapping.mode": "name",
                "delta.columnMapping.maxColumnId": str(len(names)),
            }
    write_actions(first, found)
