"""Outputs of real processes: killed, out of space, at a store that fails."""

import resource
import signal
import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.support.command import COMMAND, a_moment, here, in_process
from tests.support.rows import NAMES, prepare
from tests.support.stores import s3, s3_server

__all__ = ["here", "s3", "s3_server"]

PARTS = 60


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("outputs"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Rows in sixty row groups, long enough to be killed in between."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(rng.normal(size=(PARTS * 20_000, 2)), columns=NAMES)
    frame.to_parquet(folder / "rows.parquet", row_group_size=20_000, index=False)
    return folder / "rows.parquet"


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["", ".zarr"])
def test_killed_again_and_again_it_ends_with_what_an_undisturbed_one_writes(
    rows, many, tmp_path, here, ending
):
    command = ("predict", rows.saved, many, "--with", "labels,log-density", "-o")
    out, whole = tmp_path / f"out{ending}", tmp_path / f"whole{ending}"
    assert here(*command, whole).code == 0
    unfinished = tmp_path / f".out{ending}.unfinished"
    for done in (1, 20, 40):
        process = subprocess.Popen(
            [*COMMAND, *map(str, (*command, out))], stderr=subprocess.DEVNULL
        )
        while process.poll() is None and parts_in(unfinished) < done:
            a_moment()
        process.kill()
        process.wait()
        if process.returncode == 0:
            break
        assert not out.exists()
    again = here(*command, out)
    assert again.code == 0
    assert contents(out) == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, whole.name])


def parts_in(folder):
    pattern = "*/attempt-*/_parts/*" if folder.name.startswith(".out.zarr") else "*/*/part-*"
    return len({path.name for path in folder.glob(pattern)})


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_a_file_that_cannot_grow_is_an_output_that_cannot_be_written(rows, many, tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    kinds = ("--with", "probabilities,log-density")
    command = ("predict", rows.saved, many, "-o", tmp_path / "out", *kinds)
    done = in_process(*command, preexec_fn=small_files, command=COMMAND)
    assert done.code == 73
    assert "can't be written" in done.err
    assert len(done.err.splitlines()) == 3  # what is done, the cause and the remedy
    assert not (tmp_path / "out").exists()
    assert in_process(*command).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("ending", ["", ".zarr"])
@pytest.mark.slow
def test_a_full_disk_is_an_output_that_cannot_be_written(rows, many, tmp_path, ending):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        kinds = ("--with", "probabilities,log-density")
        done = in_process("predict", rows.saved, many, "-o", disk / f"out{ending}", *kinds)
        assert done.code == 73
        assert "No space left" in done.err
        assert not (disk / f"out{ending}").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_a_store_holds_what_a_cluster_wrote_and_no_credentials(rows, s3, tmp_path):
    out = f"{s3.url}/out"
    command = ("predict", rows.saved, rows.parquet, "-o", out, *s3.arguments, "--workers", 1)
    done = in_process(*command)
    assert done.code == 0, done.err
    stream = s3.filesystem
    names = sorted(path.rpartition("/")[2] for path in stream.ls(out, detail=False))
    assert names == ["_SUCCESS", *(f"part-{i:05}.parquet" for i in range(4))]
    found = pd.concat([pd.read_parquet(stream.open(f"{out}/{name}")) for name in names[1:]])
    assert (found["label"].to_numpy() == rows.model.predict(rows.frame[NAMES])).all()
    written = b"".join(stream.cat(names := stream.find(s3.url)).values())
    assert all(name.startswith(out.removeprefix("s3://")) for name in names)
    for secret in (s3.options["key"], s3.options["secret"]):
        assert secret not in done.out + done.err
        assert secret.encode() not in written
    again = in_process(*command)
    assert again.code == 0
    assert "already complete" in again.err


@pytest.mark.slow
def test_zarr_in_a_store_is_what_it_is_on_disk(rows, s3, tmp_path, here):
    zarr = pytest.importorskip("zarr")
    out = f"{s3.url}/out.zarr"
    command = ("predict", rows.saved, rows.parquet, "--with", "labels,probabilities", "-o")
    assert here(*command, out, *s3.arguments).code == 0
    assert here(*command, tmp_path / "out.zarr").code == 0
    store = zarr.open_group(out, mode="r", storage_options=s3.options)
    disk = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert dict(store.members()).keys() == {"label", "probability"}
    for name in ("label", "probability"):
        np.testing.assert_array_equal(store[name][:], disk[name][:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bucket", "endpoint", "code"),
    [("nowhere-at-all", None, 73), ("bucket", "http://127.0.0.1:9", 75)],
)
def test_a_store_that_takes_nothing(rows, s3, here, monkeypatch, bucket, endpoint, code):
    monkeypatch.setattr("daskgmm.data.storage.retry.PAUSES", ())
    options = s3.options | {"config_kwargs": {"retries": {"max_attempts": 0}}}
    options |= {} if endpoint is None else {"endpoint_url": endpoint}
    store = replace(s3, options=options)
    done = here("predict", rows.saved, rows.parquet, "-o", f"s3://{bucket}/out", *store.arguments)
    assert done.code == code, done.err
    assert "error: s3://" in done.err


def test_a_read_only_folder_is_an_output_that_cannot_be_written(rows):
    done = in_process("predict", rows.saved, rows.parquet, "-o", "/proc/out")
    assert done.code == 73
    assert "/proc" in done.err
