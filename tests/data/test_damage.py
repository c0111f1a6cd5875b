"""Files with bytes that were changed, cut off, zeroed or added: read, or refused in words."""

import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daskgmm import open_dataset
from daskgmm.cli.exits import Exit
from daskgmm.errors import DataError
from tests.support.command import here

__all__ = ["here"]

N, FILES = 200, 12
ROWS = np.random.default_rng(1).normal(size=(N, 2)) + np.repeat([[0.0], [5.0]], N // 2, axis=0)
ENDINGS = {
    "parquet": ".parquet", "csv": ".csv", "gzip": ".csv.gz", "npy": ".npy",
    "zarr2": ".zarr", "zarr3": ".zarr", "shards": ".zarr", "hdf5": ".h5", "latest": ".h5",
}  # fmt: skip


def write(folder, kind):
    path = folder / f"rows{ENDINGS[kind]}"
    frame = pd.DataFrame(ROWS, columns=["a", "b"])
    if kind == "parquet":
        frame.to_parquet(path, row_group_size=60)
    elif kind in ("csv", "gzip"):
        frame.to_csv(path, index=False)
    elif kind == "npy":
        np.save(path, ROWS)
    elif path.suffix == ".zarr":
        zarr = pytest.importorskip("zarr")
        shards = {"shards": (100, 2)} if kind == "shards" else {}
        version = 2 if kind == "zarr2" else 3
        zarr.create_array(str(path), data=ROWS, chunks=(50, 2), zarr_format=version, **shards)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w", libver="latest" if kind == "latest" else None) as file:
            file.create_dataset("x", data=ROWS, chunks=(50, 2), compression="gzip")
    return path


def damaged(content, draw):
    """Some bytes flipped, cut off, zeroed, added or repeated."""
    data, place = bytearray(content), draw.randrange(len(content))
    match draw.choice(["flip", "many", "cut", "zero", "append", "insert", "repeat"]):
        case "flip":
            data[place] ^= 1 << draw.randrange(8)
        case "many":
            for _ in range(10):
                data[draw.randrange(len(data))] = draw.randrange(256)
        case "cut":
            del data[place:]
        case "zero":
            data[place : place + 50] = bytes(len(data[place : place + 50]))
        case "append":
            data += draw.randbytes(50)
        case "insert":
            data[place:place] = draw.randbytes(5)
        case "repeat":
            data[place:place] = data[place : place + 40]
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENDINGS)
def test_a_damaged_file_is_read_or_refused_but_never_our_fault(tmp_path, here, kind):
    whole = write(tmp_path, kind)
    assert here("fit", whole, "-k", 2, "-o", tmp_path / "model", "--seed", 0).code == 0
    for number in range(FILES):
        draw = random.Random(f"{kind} {number}")  # noqa: S311  the same each time
        path = tmp_path / str(number) / whole.name
        path.parent.mkdir()
        if whole.is_dir():
            shutil.copytree(whole, path)
            inside = sorted(each for each in path.rglob("*") if each.is_file())
            target = draw.choice(inside)
        else:
            shutil.copy(whole, path)
            target = path
        target.write_bytes(damaged(target.read_bytes(), draw))
        run, out = path.with_name("run"), path.with_name("out")
        for command in (
            ("fit", path, "-k", 2, "-o", run, "--seed", 0, "--refine", "none"),
            ("predict", tmp_path / "model", path, "-o", out),
        ):
            done = here(*command)
            assert done.code in (Exit.DONE, Exit.BAD_DATA), (number, command, done.err)
            assert "Traceback" not in done.err


@pytest.mark.parametrize("kind", ["zarr2", "zarr3"])
def test_a_chunk_that_is_cut_short_is_told_of_with_its_rows(tmp_path, kind):
    path = write(tmp_path, kind)
    chunk = path / ("2.0" if kind == "zarr2" else "c/2/0")
    chunk.write_bytes(chunk.read_bytes()[:-40])
    (part,) = open_dataset(path).source().parts
    with pytest.raises(DataError, match=r"rows\.zarr, rows 100 to 149, is damaged"):
        list(part.read())


def test_a_chunk_of_hdf5_that_is_damaged_is_told_of_with_its_rows(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = write(tmp_path, "hdf5")
    with h5py.File(path) as file:
        place = file["x"].id.get_chunk_info(2).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 20 : place + 60] = bytes(40)
    path.write_bytes(content)
    (part,) = open_dataset(path).source().parts
    with pytest.raises(DataError, match=r"rows\.h5, rows 100 to 149, is damaged"):
        list(part.read())


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xfe", b"[1]", b"null", b'{"index_columns": 5}', b"[" * 100_000, b'"x"', b""],
)
def test_metadata_of_pandas_that_make_no_sense_are_passed_over(tmp_path, content):
    table = pa.table({"a": [1.0], "b": [2.0]}).replace_schema_metadata({b"pandas": content})
    pq.write_table(table, tmp_path / "a.parquet")
    dataset = open_dataset(tmp_path / "a.parquet")
    assert dataset.columns == ("a", "b")


@pytest.mark.slow
def test_an_output_whose_name_is_no_text_is_refused(tmp_path, here):
    path = write(tmp_path, "csv")
    assert here("fit", path, "-k", 1, "-o", tmp_path / "run").code == 0
    out = Path(f"{tmp_path}/caf\udce9")
    done = here("predict", tmp_path / "run", path, "-o", out)
    assert done.code == Exit.NO_OUTPUT
    assert r"caf\xe9 is not UTF-8" in done.err
