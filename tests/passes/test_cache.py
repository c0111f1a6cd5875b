"""Stages: blocks come back as they were added, or not at all."""

import errno
import logging
import multiprocessing
import os
import resource
import subprocess
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import Event

import dask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.data.source import Block, Source
from daskgmm.data.storage import scratch
from daskgmm.passes import memory as room
from daskgmm.passes.cache import block_file
from daskgmm.passes.cache import parts as staging
from daskgmm.passes.cache.block_file import BlockFile
from daskgmm.passes.cache.choose import kept
from daskgmm.passes.cache.disk import DiskStage
from daskgmm.passes.cache.memory import MemoryStage
from daskgmm.passes.cache.parts import NotStagedError, StagedPart, Staging
from daskgmm.passes.engine.keys import made_for, token
from daskgmm.passes.memory import TaskSizes
from tests.support import neighbours
from tests.support.neighbours import put, some_blocks

DOUBLE = np.dtype(np.float64)
tokens = map("test-{}".format, count())


@pytest.fixture(autouse=True)
def place(tmp_path):
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        yield tmp_path


@pytest.fixture(params=[MemoryStage, DiskStage])
def begin(request):
    return request.param


@pytest.fixture
def stage(begin):
    stage = begin(next(tokens))
    yield stage
    stage.remove()


@dataclass(eq=False)
class Counted:
    """A part that writes each block into the same memory, and counts how often it is read."""

    blocks: list[Block]
    reads: int = 0
    fails_after: int | None = None
    inputs = ()
    label = "counted"

    def read(self):
        self.reads += 1
        memory = np.empty(max((block.rows.size for block in self.blocks), default=0))
        for index, block in enumerate(self.blocks):
            if index == self.fails_after:
                raise ConnectionError("the store is away")
            view = (
                memory[: block.rows.size]
                .reshape(block.rows.shape)
                .astype(block.rows.dtype, copy=False)
            )
            view[:] = block.rows
            yield Block(view, block.weights)
            memory[:] = np.nan


def as_bytes(blocks):
    return [
        (block.rows.dtype, block.rows.shape, block.rows.tobytes(), weights_of(block))
        for block in blocks
    ]


def weights_of(block):
    return None if block.weights is None else block.weights.tobytes()


def staged(begin, *parts):
    own = Staging(next(tokens), begin)
    return own, [StagedPart(part, index, own) for index, part in enumerate(parts)]


def left(place):
    return sorted(path.name for path in place.iterdir())


# --- the contract of each stage


@pytest.mark.slow
@given(
    lengths=st.lists(st.integers(0, 40), max_size=5),
    dtype=st.sampled_from([np.float32, np.float64]),
    weighted=st.booleans(),
    n_features=st.integers(1, 5),
)
@pytest.mark.parametrize("kind", [MemoryStage, DiskStage])
def test_blocks_come_back_as_they_were_added(kind, lengths, dtype, weighted, n_features):
    blocks = some_blocks(lengths, dtype, weighted, n_features)
    stage = kind(next(tokens))
    put(stage, 5, blocks)
    found = []
    for block in stage.load(5):
        assert block.rows.flags.aligned
        assert block.weights is None or block.weights.flags.aligned
        found += as_bytes([block])
    stage.remove()
    assert found == as_bytes(blocks)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda rows: np.repeat(rows, 2, 1)[:, ::2]])
def test_any_memory_layout_is_taken(stage, layout):
    (block,) = some_blocks((50,), weighted=False)
    put(stage, 0, [Block(layout(block.rows))])
    assert as_bytes(stage.load(0)) == as_bytes([block])


def test_a_part_that_was_not_added_is_not_there(stage):
    put(stage, 1, some_blocks())
    with pytest.raises(NotStagedError):
        list(stage.load(0))


def test_a_part_is_not_there_before_it_is_finished(stage):
    entry = stage.entry(0)
    entry.add(some_blocks()[0])
    with pytest.raises(NotStagedError):
        list(stage.load(0))
    entry.discard()
    with pytest.raises(NotStagedError):
        list(stage.load(0))


def test_discarding_takes_no_room(begin, place):
    stage = begin(next(tokens))
    before = getattr(stage, "room", None), left(place)
    entry = stage.entry(0)
    entry.add(some_blocks()[0])
    entry.discard()
    assert (getattr(stage, "room", None), left(place)) == before
    stage.remove()
    assert left(place) == []


# --- reading ahead, and past the operating system's cache

LARGE = 2**17
"""Rows of a block, of 1 MiB a feature, that is not read as small ones are."""


@pytest.fixture
def disk():
    stage = DiskStage(next(tokens))
    yield stage
    stage.remove()


def files(place):
    return sorted(place.rglob("*.rows"))


def forget(file):
    """Drop a file from the operating system's cache, or skip the test where that can't be done."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if is_cached(file):
        pytest.skip("the files of this folder are in memory only")


def is_cached(file):
    with file.open("rb", buffering=0) as stream:
        return block_file._is_cached(stream, 0, 2**20)


def test_the_next_file_is_read_while_one_is_worked_on(disk, place, monkeypatch):
    own = [some_blocks((700, 500)), some_blocks((900,))]
    for position, blocks in enumerate(own):
        put(disk, position, blocks)
    for position in (0, 1):
        list(disk.load(position))  # as in the pass before
    read, came = BlockFile.read, [Event(), Event()]

    def noted(file, number, buffers):
        block = read(file, number, buffers)
        came[files(place).index(file._path)].set()
        return block

    monkeypatch.setattr(BlockFile, "read", noted)
    *_, last = disk.load(0)
    assert came[1].wait(10)
    assert as_bytes([last]) == as_bytes(own[0][-1:])
    files(place)[1].unlink()
    assert as_bytes(disk.load(1)) == as_bytes(own[1])


@pytest.mark.slow
@given(
    order=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=30),
)
def test_no_order_of_reading_mixes_rows_up(order):
    own = [
        some_blocks((3, 0, 5)),
        [],
        some_blocks((7,)),
        some_blocks((1, 900, 2)),
        some_blocks((4,)),
    ]
    stage = DiskStage(next(tokens))
    for position, blocks in enumerate(own):
        put(stage, position, blocks)
    for position, most in order:  # a reader may stop early
        loading = stage.load(position)
        found = [
            x for _, block in zip(range(most), loading, strict=False) for x in as_bytes([block])
        ]
        assert found == as_bytes(own[position][:most])
    stage.remove()


def test_reading_takes_the_memory_of_two_blocks(disk):
    for position in range(3):
        put(disk, position, [Block(np.ones((1, LARGE + 7))) for _ in range(4)])
    tracemalloc.start()
    for position in [*range(3)] * 3:
        for _ in disk.load(position):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.2 * 8 * LARGE


def test_what_the_system_has_not_cached_is_read_past_its_cache(disk, place):
    blocks = [Block(np.random.default_rng(0).normal(size=(3, LARGE)), np.ones(LARGE))] * 2
    put(disk, 0, blocks)
    (file,) = files(place)
    forget(file)
    assert [x for block in disk.load(0) for x in as_bytes([block])] == as_bytes(blocks)
    assert not is_cached(file)


def test_what_the_system_has_cached_is_read_there(disk, place, monkeypatch):
    put(disk, 0, [Block(np.ones((3, LARGE)))])
    files(place)[0].read_bytes()
    monkeypatch.setattr(block_file, "_filled_directly", None)
    assert sum(block.rows.sum() for block in disk.load(0)) == 3 * LARGE


def test_a_file_system_that_always_caches_is_read_as_usual(disk, place, monkeypatch):
    put(disk, 0, [Block(np.ones((3, LARGE)))])
    forget(files(place)[0])
    opened = os.open

    def refused(path, flags, *others):
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return opened(path, flags, *others)

    monkeypatch.setattr(os, "open", refused)
    assert sum(block.rows.sum() for block in disk.load(0)) == 3 * LARGE


# --- parts that are staged


def test_a_part_is_decoded_once_and_stays_the_same(begin):
    part = Counted(some_blocks())
    own, (wrapped,) = staged(begin, part)
    for _ in range(3):
        assert [one for block in wrapped.read() for one in as_bytes([block])] == as_bytes(
            part.blocks
        )
    assert part.reads == 1
    staging.end(own.token)


def test_a_part_that_fails_halfway_is_not_staged(begin):
    part = Counted(some_blocks(), fails_after=1)
    own, (wrapped,) = staged(begin, part)
    with pytest.raises(ConnectionError):
        list(wrapped.read())
    part.fails_after = None
    assert len(list(wrapped.read())) == 3
    assert part.reads == 2
    staging.end(own.token)


def test_a_reader_that_stops_early_stages_nothing(begin, place):
    part = Counted(some_blocks())
    own, (wrapped,) = staged(begin, part)
    blocks = wrapped.read()
    next(blocks)
    blocks.close()
    assert not list(place.rglob("*.partial"))
    assert len(list(wrapped.read())) == 3
    assert part.reads == 2
    staging.end(own.token)


def test_two_fits_share_nothing(begin):
    part = Counted(some_blocks())
    (one, (first,)), (other, (second,)) = staged(begin, part), staged(begin, part)
    list(first.read())
    list(second.read())
    staging.end(one.token)
    list(second.read())
    assert part.reads == 2
    staging.end(other.token)


def test_a_late_task_does_not_revive_a_stage(begin, place):
    part = Counted(some_blocks())
    own, (wrapped,) = staged(begin, part)
    running = wrapped.read()
    next(running)
    staging.end(own.token)
    assert len(list(running)) == 2  # goes on undisturbed
    assert len(list(wrapped.read())) == 3
    assert left(place) == []


@pytest.mark.slow
def test_many_threads_that_read_one_part_all_get_its_rows(begin):
    parts = [Counted(some_blocks((64, 64, n + 1))) for n in range(5)]
    own, wrapped = staged(begin, *parts)
    expected = [as_bytes(part.blocks) for part in parts]

    def read(index):
        blocks = wrapped[index % 5].read()
        return [one for block in blocks for one in as_bytes([block])] == expected[index % 5]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(400)))
    staging.end(own.token)


def test_a_stage_that_nobody_read_for_long_goes_when_another_begins(begin, monkeypatch, place):
    part = Counted(some_blocks())
    forgotten, (wrapped,) = staged(begin, part)
    list(wrapped.read())
    monkeypatch.setattr(staging, "IDLE_SECONDS", -1)
    own, (other,) = staged(begin, part)
    list(other.read())
    assert forgotten.token not in staging._open
    assert not any(forgotten.token in name for name in left(place))
    assert len(list(wrapped.read())) == 3
    staging.end(own.token)


# --- a full cache


@contextmanager
def tmpfs(folder, size):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False
    )
    if mounted.returncode:
        pytest.skip("a file system can't be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")
@pytest.mark.parametrize("kept_free", [True, False])
def test_a_full_disk_is_no_error(place, caplog, monkeypatch, kept_free):
    parts = [Counted(some_blocks((2000, 2000))) for _ in range(20)]  # 128 kB each
    if not kept_free:  # the disk itself says it then
        monkeypatch.setattr("daskgmm.passes.cache.disk.disk_free", lambda _: 2**40)
    with tmpfs(place, "1m"):
        own, wrapped = staged(DiskStage, *parts)
        for _ in range(3):
            for part, one in zip(parts, wrapped, strict=True):
                blocks = one.read()
                assert [x for b in blocks for x in as_bytes([b])] == as_bytes(part.blocks)
        assert not list(place.rglob("*.partial"))
        staging.end(own.token)
        assert left(place) == []
    reads = [part.reads for part in parts]
    assert reads[:5] == [1] * 5
    assert reads[-5:] == [3] * 5
    assert len(caplog.records) == 1
    reason = "almost full" if kept_free else "No space left"
    assert reason in caplog.text


def test_a_file_that_may_not_grow_is_no_error(caplog):
    part = Counted(some_blocks((4000,)))
    own, (wrapped,) = staged(DiskStage, part)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        found = [x for b in wrapped.read() for x in as_bytes([b])]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found == as_bytes(part.blocks)
    assert "takes no more rows" in caplog.text
    staging.end(own.token)


def test_memory_takes_a_share_of_what_is_free(monkeypatch, caplog):
    parts = [Counted(some_blocks((1000,), weighted=False)) for _ in range(4)]  # 24 kB each
    monkeypatch.setattr("daskgmm.passes.cache.memory.available_memory", lambda: 120_000)
    own, wrapped = staged(MemoryStage, *parts)
    for _ in range(2):
        for one in wrapped:
            list(one.read())
    assert [part.reads for part in parts] == [1, 1, 2, 2]
    assert "50% of the memory" in caplog.text
    staging.end(own.token)


def test_a_folder_that_cannot_be_made_is_no_error(place, caplog):
    (place / "file").touch()
    with dask.config.set({"temporary-directory": str(place / "file")}):
        part = Counted(some_blocks())
        _, (wrapped,) = staged(DiskStage, part)
        assert len(list(wrapped.read())) == len(list(wrapped.read())) == 3
    assert part.reads == 2
    assert caplog.text.count("There is no cache") == 1


# --- files that are not what they should be


@pytest.mark.parametrize(
    "harm",
    [
        lambda _: b"",
        lambda data: data[:10],
        lambda data: data[:-1],
        lambda data: data[1:],
        lambda data: data[:8] + data[16:],
        lambda data: data + b"\0",
        lambda data: bytes(len(data)),
        lambda data: data[:-16] + (2**62).to_bytes(8, "little") + data[-8:],
        lambda data: data[: len(data) // 2] + data[-200:],
    ],
)
def test_a_damaged_file_is_decoded_again_and_staged_anew(place, harm):
    part = Counted(some_blocks())
    own, (wrapped,) = staged(DiskStage, part)
    list(wrapped.read())
    (file,) = place.rglob("*.rows")
    sound = file.read_bytes()
    file.write_bytes(harm(sound))
    found = [x for b in wrapped.read() for x in as_bytes([b])]
    assert found == as_bytes(part.blocks)
    assert part.reads == 2
    assert file.read_bytes() == sound
    staging.end(own.token)


def test_a_file_that_fails_halfway_is_replaced_without_a_gap(place):
    part = Counted(some_blocks((5000, 5000, 5000)))
    own, (wrapped,) = staged(DiskStage, part)
    list(wrapped.read())
    (file,) = place.rglob("*.rows")
    blocks = wrapped.read()
    found = as_bytes([next(blocks)])
    os.truncate(file, 130_000)  # the second block ends beyond
    found += [x for b in blocks for x in as_bytes([b])]
    assert found == as_bytes(part.blocks)
    assert part.reads == 2
    staging.end(own.token)


# --- who removes what


def test_an_error_or_ctrl_c_removes_all(begin, place):
    part = Counted(some_blocks())
    source = Source((part,), 3, DOUBLE, lengths=(1433,), decoded=True)
    task = TaskSizes(3, 10, 2, 2, 1000, 1000, DOUBLE, DOUBLE)
    name = {MemoryStage: "memory", DiskStage: "disk"}[begin]

    def fail(error):
        with kept(source, name, task) as rows:
            list(rows.parts[0].read())
            list(rows.parts[0].read())
            raise error

    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            fail(error)
    assert part.reads == 2
    assert left(place) == []


@pytest.fixture
def neighbour(place):
    """Another process that staged a part of the same fit."""
    context = multiprocessing.get_context("spawn")
    said, wait = context.Event(), context.Event()
    token = next(tokens)
    process = context.Process(target=neighbours.hold, args=(token, place, said, wait))
    process.start()
    assert said.wait(60)
    yield token, process, wait
    process.kill()
    process.join()


@pytest.mark.slow
def test_processes_of_a_machine_share_a_stage_that_the_last_removes(place, neighbour):
    token, process, wait = neighbour
    stage = DiskStage(token)
    assert as_bytes(some_blocks())[0] == as_bytes([next(stage.load(0))])[0]
    stage.leave()
    assert list(place.rglob("*.rows"))  # the other one still uses it
    wait.set()
    process.join()
    assert left(place) == []


@pytest.mark.slow
def test_what_a_killed_process_leaves_goes_when_another_begins(place, neighbour):
    token, process, _ = neighbour
    DiskStage("unrelated").remove()
    assert any(token in name for name in left(place))  # alive
    process.kill()
    process.join()
    assert any(token in name for name in left(place))
    stage = DiskStage(next(tokens))
    assert not any(token in name for name in left(place))
    stage.remove()


@pytest.mark.slow
def test_dask_removes_what_a_killed_process_leaves_too(place, neighbour):
    from distributed.diskutils import WorkSpace

    token, process, _ = neighbour
    WorkSpace(str(place)).new_work_dir(prefix="worker-").release()
    assert any(token in name for name in left(place))
    process.kill()
    process.join()
    WorkSpace(str(place)).new_work_dir(prefix="worker-").release()
    assert not any(token in name for name in left(place))


def test_files_of_before_a_restart_of_the_machine_are_not_read(place, monkeypatch):
    token = next(tokens)
    before = DiskStage(token)
    put(before, 0, some_blocks())
    monkeypatch.setattr(scratch, "boot_id", lambda: "restarted")
    after = DiskStage(token)
    with pytest.raises(NotStagedError):
        list(after.load(0))
    before.remove()
    after.remove()


def test_nobody_else_may_look_into_the_folder(place):
    stage = DiskStage(next(tokens))
    assert stage.scratch.folder.stat().st_mode & 0o077 == 0
    stage.remove()


def test_room_on_a_disk_leaves_some_to_others(place):
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    assert 0 <= room.disk_free(place) < free


def test_warnings_only_come_once(caplog, monkeypatch):
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr("daskgmm.passes.cache.disk.disk_free", lambda _: 0)
    own, wrapped = staged(DiskStage, *(Counted(some_blocks()) for _ in range(5)))
    for one in wrapped:
        list(one.read())
    assert len(caplog.records) == 1
    staging.end(own.token)


def test_a_late_task_of_an_earlier_attempt_at_the_same_run_stages_where_no_other_fit_reads():
    stages = []
    for value in (1.0, 2.0):
        with made_for("0" * 32):
            stages.append(DiskStage(token()))
        entry = stages[-1].entry(0)
        entry.add(Block(np.full((1, 3), value)))
        entry.finish()
    late = stages[0].entry(0)
    late.add(Block(np.full((1, 3), 9.0)))
    late.finish()
    (block,) = stages[1].load(0)
    assert block.rows.tolist() == [[2.0, 2.0, 2.0]]
    for stage in stages:
        stage.remove()
