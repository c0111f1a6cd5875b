"""What a person sees of a job on a terminal: in tmux, and through a pseudo-terminal."""

import io
import logging.handlers
import os
import pty
import queue
import re
import shlex
import shutil
import subprocess
import threading
from contextlib import closing, contextmanager, suppress

import numpy as np
import pytest
from rich.console import Console

from daskgmm import GaussianMixture, jobs, load
from daskgmm.cli.output.lines import ProgressLines
from daskgmm.cli.output.live import LiveView, wrapped
from daskgmm.jobs.listener import Silence
from daskgmm.model.covariance import COVARIANCES
from daskgmm.monitoring.forecast import Forecast
from daskgmm.passes.engine.progress import PassProgress
from tests.support.command import COMMAND, here, logging_as_it_was
from tests.support.paths import IRIS
from tests.support.rows import parquet_of, prepare

__all__ = ["here"]

PARTS = 8
SIZES = ("COLUMNS", "LINES")
"""Variables by which a parent may overrule a terminal's own size."""

ENDLESS = (
    "-k",
    8,
    "--tol",
    1e-12,
    "--max-iter",
    1_000_000,
    "--subsample",
    "none",
    "--cache",
    "none",
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    values = np.random.default_rng(0).normal(size=(PARTS * 10_000, 4))
    return parquet_of(values, path, 10_000)


ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in SIZES}


class Screen:
    """A terminal of some width, in which one command runs; its exit code is told after it.

    Parameters
    ----------
    width : int
        In characters.
    command : sequence
    folder : Path
        Where it runs, and tmux's socket is.
    """

    def __init__(self, width, command, folder):
        self.tmux = ["tmux", "-u", "-f", os.devnull, "-S", str(folder / "tmux")]
        told = shlex.join(map(str, command))
        self._run(
            "new-session", "-d", "-x", str(width), "-y", "40", "-c", str(folder),
            f"trap : INT; {told}; echo code $?; exec cat",
        )  # fmt: skip

    def _run(self, *arguments):
        done = subprocess.run(
            [*self.tmux, *arguments], capture_output=True, text=True, check=True, env=ENVIRONMENT
        )
        return done.stdout

    def lines(self, *more):
        return self._run("capture-pane", "-p", *more).rstrip("\n").split("\n")

    def wait_for(self, pattern):
        """The lines, once one of them matches."""
        while True:
            lines = self.lines()
            if any(re.search(pattern, line) for line in lines):
                return lines
            threading.Event().wait(0.05)

    def press(self, key):
        self._run("send-keys", key)

    @property
    def shows_cursor(self):
        return self._run("display-message", "-p", "#{cursor_flag}").strip() == "1"

    def close(self):
        self._run("kill-server")


@contextmanager
def screen(width, command, folder):
    opened = Screen(width, command, folder)
    try:
        yield opened
    finally:
        opened.close()


needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@pytest.mark.slow
@needs_tmux
@pytest.mark.parametrize("width", [80, 40])
@pytest.mark.parametrize(
    "workers", [0, pytest.param(2, marks=pytest.mark.slow)], ids=["here", "cluster"]
)
def test_a_fit_is_seen_pass_by_pass_and_ctrl_c_leaves_a_clean_terminal(
    rows, tmp_path, width, workers
):
    command = [*COMMAND, "fit", rows, "-o", "run", *ENDLESS]
    command += ["--workers", workers] if workers else []
    with screen(width, command, tmp_path) as terminal:
        if workers:
            terminal.wait_for("starting a cluster")
        terminal.wait_for("tol 1e-12")
        lines = terminal.wait_for("about .* left")
        text = "\n".join(lines)
        assert re.search(rf"pass \d+ .*━.* \d(/{PARTS}| of {PARTS} parts)$", text, re.MULTILINE)
        assert re.search(r"change \d\.\d\de-\d\d .*━", text)
        assert re.search(r"lower bound -\d\.\d{6}", text)
        assert re.search(r"[\d.]+[kM] rows/s", text)
        assert re.search(r"about \d+ passes, \d.* left", text)
        assert bool(re.search(r"^  .*\b2 workers(,|$)", text, re.MULTILINE)) == bool(workers)
        assert max(map(len, lines)) <= width
        shown = lines[next(i for i, line in enumerate(lines) if re.match(r". pass \d+", line)) :]
        assert all(line.startswith("  ") for line in shown[1:])  # none is another's end
        assert not terminal.shows_cursor
        terminal.press("C-c")
        lines = terminal.wait_for("^code 130")
        assert terminal.shows_cursor
        assert not any("━" in line or "lower bound" in line for line in lines)
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()


@needs_tmux
def test_at_the_end_there_are_the_components_and_where_the_results_are(tmp_path):
    command = [*COMMAND, "fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 3, "-o", "run"]
    with screen(200, [*command, "--seed", 0, "--cache", "none"], tmp_path) as terminal:
        lines = terminal.wait_for("^code 0")
        assert terminal.shows_cursor
    first, header, *rest = lines
    assert first == "Fitting rows of 2 columns in this process."
    assert header.split("  ") == [
        "component", "weight", "mean sepal_length ± sd", "mean sepal_width ± sd",
    ]  # fmt: skip
    assert all(re.search(r"\d ± 0\.\d+ +[\d.]+ ± 0\.\d+$", line) for line in rest[:3])
    assert rest[-3:] == [
        f"run          {tmp_path}/run",
        f"model        {tmp_path}/run/model.safetensors",
        "code 0",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("covariance", list(COVARIANCES))
def test_spreads_are_the_components_standard_deviations(tmp_path, here, covariance):
    columns = ("--columns", "sepal_length,sepal_width", "--covariance", covariance)
    done = here("fit", IRIS, *columns, "-k", 2, "-o", tmp_path / "run", "--seed", 0)
    shown = [line.split(" ± ")[1:] for line in done.out.splitlines()[1:3]]
    spreads = [[float(cell.split()[0]) for cell in line] for line in shown]
    model = load(tmp_path / "run" / "model.safetensors")
    matrices = COVARIANCES[covariance].as_matrices(model.covariances_, (2, 2))
    variances = np.diagonal(matrices, axis1=1, axis2=2)
    np.testing.assert_allclose(spreads, np.sqrt(variances), rtol=5e-3)


def said_on(width, command, **environment):
    """All that a command writes to a terminal on standard error."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=os.environ | {"COLUMNS": str(width)} | environment,
    ) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # Linux's way to say that the other end is closed
            while piece := os.read(ours, 65536):
                said += piece
        os.close(ours)
    assert process.returncode == 0
    return said.decode()


@pytest.mark.slow
def test_a_dumb_terminal_gets_quiet_lines_with_the_time_left(tmp_path):
    command = [*COMMAND, "fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 3]
    more = ["-o", tmp_path / "run", "--tol", 1e-7, "--max-iter", 25, "--refine", "none"]
    said = said_on(80, [*command, *more], TERM="dumb")
    assert "\x1b" not in said
    passes = [line for line in said.splitlines() if line.startswith("Pass ")]
    assert [line.split()[1] for line in passes] == ["10:", "20:", "25:"]
    assert re.search(r"rows/s, about \d+ passes, 0\.\d s left$", passes[0])
    assert passes[-1].endswith("rows/s")


# --- the picture, from values


def picture(view, width):
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, color_system=None).print(view)
    return file.getvalue().rstrip("\n").split("\n")


@pytest.fixture(scope="module")
def forecast():
    states = []
    values = np.random.default_rng(0).normal(size=(2000, 2)) + 3 * np.arange(2000)[:, None] % 2
    options = {"tol": 1e-7, "max_iter": 500, "subsample": 300, "random_state": 0}
    GaussianMixture(2, **options, refine="none", callbacks=(states.append,)).fit(values)
    found = Forecast(1e-7, 500)
    for state in states[: len(states) // 2]:
        found = found.after(state)
    assert found.remaining is not None
    return found


@pytest.mark.parametrize("width", [20, 40, 60, 64, 80, 132])
def test_no_line_of_a_picture_is_wider_than_the_terminal(forecast, width):
    view = LiveView(
        "⠹", "pass 7", 3725.0, "of at most 500", parts=4096, done=2048, seconds=3.0, rows=10**9,
        workers=128, forecast=forecast, since=0.5,
    )  # fmt: skip
    lines = picture(view, width)
    assert max(map(len, lines)) <= width
    if width >= 40:
        assert len(lines) <= 6
        text = " ".join(lines)
        assert "pass 7" in text
        assert "2048" in text
        assert "128 workers" in text
        assert "1:02:05 so far" in text
        assert ("2048 of 4096 parts" in text) == (width >= 64)
        assert ("pass 7 of at most 500" in text) == (width >= 64)


def test_bars_are_as_long_as_what_is_done(forecast):
    half = picture(LiveView("⠹", "reading all rows", 1.0, parts=10, done=5, seconds=1.0), 80)
    full = picture(LiveView("⠹", "reading all rows", 1.0, parts=10, done=10, seconds=1.0), 80)
    bar = re.compile("━+")
    assert len(bar.search(full[0])[0]) == pytest.approx(2 * len(bar.search(half[0])[0]), abs=2)


def test_a_single_pass_tells_its_speed_and_its_time_left():
    view = LiveView("⠹", "labelling rows", 4.0, parts=10, done=4, seconds=2.0, rows=1000)
    assert view.facts() == ["200 rows/s", "3.0 s left", "0:04 so far"]


def test_the_first_pass_of_a_fit_tells_its_own_end_only():
    view = LiveView(
        "⠹", "reading all rows", 4.0, parts=10, done=4, seconds=2.0, forecast=Forecast(1e-3, 100)
    )
    assert view.facts() == ["3.0 s left of this pass", "0:04 so far"]


def test_there_is_no_bar_where_nobody_knows_what_is_done():
    (first, second) = picture(LiveView("⠹", "reading all rows", 4.0, parts=10, done=None), 40)
    assert first.rstrip() == "⠹ reading all rows"
    assert second == "  0:04 so far"


def test_phrases_flow_and_are_never_broken():
    assert wrapped(["lower bound 1", "2 workers", "0:04 left"], 25) == [
        "lower bound 1, 2 workers", "0:04 left",
    ]  # fmt: skip
    assert wrapped([], 10) == []


# --- what jobs tell


class Ear(Silence):
    """Notes what it hears."""

    def __init__(self):
        self.heard = []

    def wait(self, what):
        self.heard.append(what)

    def start(self, start):
        self.heard.append("start")

    def watch(self, a_pass):
        self.heard.append(a_pass)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [None, 1], ids=["here", "cluster"])
def test_a_listener_hears_of_waiting_and_of_passes_whose_parts_are_all_done_in_the_end(
    tmp_path, workers
):
    rows, ear = prepare(tmp_path), Ear()
    out = tmp_path / "out"
    jobs.predict(str(rows.saved), str(rows.parquet), str(out), workers=workers, listener=ear)
    *waited, start, a_pass = ear.heard
    assert waited == ["starting a cluster"] * bool(workers)
    assert (start, a_pass.name, a_pass.parts) == ("start", "gmm-predict", 4)
    assert workers or a_pass.done() == 4


def test_only_parts_that_are_still_to_be_written_count(tmp_path):
    rows, out = prepare(tmp_path), tmp_path / "out"
    jobs.sample(str(rows.saved), str(out), n=1000, seed=0)
    ear = Ear()
    jobs.sample(str(rows.saved), str(out), n=1000, seed=0, listener=ear)
    assert ear.heard == []


SEARCH = {"phase": "em", "done": 3, "of": 10, "share": 0.41, "rows": 30_000, "candidate": 0}


@pytest.mark.parametrize(
    ("name", "events", "said"),
    [
        ("gmm-init", [], "Reading all rows, 0:00 so far."),
        ("gmm-init-starts", [], "Finding starts in a sample, 0:00 so far."),
        (
            "gmm-init-starts",
            [SEARCH],
            "Starts: 3 of 10, 41% of EM on 30,000 rows, 0:00 so far.",
        ),
    ],
)
def test_while_starts_are_sought_a_line_comes_now_and_then(name, events, said):
    heard = queue.Queue()
    handler = logging.handlers.QueueHandler(heard)
    logger = logging.getLogger("daskgmm.cli.output.lines")
    with logging_as_it_was(), closing(lines_of_a_fit()) as lines:
        logger.parent.setLevel("INFO")
        logger.addHandler(handler)
        try:
            lines.watch(PassProgress(name, 4, lambda: 0, events=lambda: events))
            assert heard.get(timeout=200).getMessage() == said
            assert heard.get(timeout=200).getMessage() == said
        finally:
            logger.removeHandler(handler)


def test_when_passes_begin_or_the_job_ends_nothing_more_is_said_of_starts():
    for end in (
        lambda lines: lines.watch(PassProgress("gmm-pass", 4, lambda: 0)),
        ProgressLines.close,
    ):
        lines, before = lines_of_a_fit(), set(threading.enumerate())  # some are still ending
        lines.watch(PassProgress("gmm-init", 4, lambda: 0))
        new = set(threading.enumerate()) - before
        (thread,) = [one for one in new if one.name == "daskgmm-waiting"]
        end(lines)
        thread.join(timeout=200)
        assert not thread.is_alive()


def lines_of_a_fit():
    return ProgressLines("Fitting", every=10, forecast=Forecast(1e-3, 100), patience=0.01)
