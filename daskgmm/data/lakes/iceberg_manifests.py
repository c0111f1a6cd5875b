"""Manifests of Iceberg tables, checked before the package ``pyiceberg`` reads them.

Its compiled decoder trusts lengths: in a damaged file it reads beyond the end, which kills the
process, or takes a count of 0 for the end of the file, which loses rows.
"""

from typing import Any

from pyiceberg.avro.decoder import StreamingBinaryDecoder
from pyiceberg.avro.file import META_SCHEMA, AvroFileHeader
from pyiceberg.avro.reader import Reader
from pyiceberg.avro.resolver import construct_reader
from pyiceberg.io import FileIO

from daskgmm.data.files.versions import for_each
from daskgmm.errors import DataError

_MAGIC = b"Obj\x01"
_REMEDY = "Restore it from a copy, or read another version of the table."


class _Decoder(StreamingBinaryDecoder):
    """Decodes bytes, and raises EOFError where a value goes beyond their end."""

    def skip(self, n: int) -> None:
        """Skip bytes, which must be there."""
        self.read(n)


def require_sound_manifests(files: FileIO, snapshot: Any) -> None:
    """Raise DataError if the manifest list of a snapshot, or one of its manifests, is damaged."""
    _require_sound(files, snapshot.manifest_list, at_least=0)
    manifests = [manifest.manifest_path for manifest in snapshot.manifests(files)]
    for_each(manifests, lambda location: _require_sound(files, location, at_least=1))


def _require_sound(files: FileIO, location: str, *, at_least: int) -> None:
    with files.new_input(location).open() as file:
        content = file.read()
    try:
        found = _records(content)
    except Exception as error:  # of any kind, as the damage is
        fact = f"{type(error).__name__}: {error}"
        raise DataError(f"The manifest {location} is damaged ({fact}).", _REMEDY) from error
    if found < at_least:
        raise DataError(f"The manifest {location} is damaged (it names no files).", _REMEDY)


def _records(content: bytes) -> int:
    """Number of records in an Avro file, all of which are decoded."""
    if not content.startswith(_MAGIC):
        raise ValueError("it is no Avro file")
    decoder = _Decoder(content)
    header = construct_reader(META_SCHEMA, {-1: AvroFileHeader}).read(decoder)
    reader, codec = construct_reader(header.get_schema()), header.compression_codec()
    found = 0
    while decoder.tell() < len(content):
        records, block = decoder.read_int(), decoder.read_bytes()
        _read(reader, records, block if codec is None else codec.decompress(block))
        if decoder.read(len(header.sync)) != header.sync:
            raise ValueError("a block does not end with the file's mark")
        found += records
    return found


def _read(reader: Reader, records: int, block: bytes) -> None:
    decoder = _Decoder(block)
    if records <= 0:
        raise ValueError(f"a block has {records} records")
    for _ in range(records):
        reader.read(decoder)  # skip() goes to a wrong place after a decimal
    if decoder.tell() < len(block):
        raise ValueError(f"a block is longer than its {records} records")
