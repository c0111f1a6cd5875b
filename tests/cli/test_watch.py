"""A fit followed from elsewhere: before, during and after it, and beside others."""

import json
import os
import pty
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture
from daskgmm.cli.output.watch import WatchDisplay
from daskgmm.errors import DataError
from daskgmm.monitoring.events import TOPIC
from daskgmm.monitoring.follow import News
from daskgmm.monitoring.history import FitHistory
from daskgmm.monitoring.phrases import NO_WORKERS, WORKERS_CAME
from daskgmm.passes.engine.keys import made_for
from daskgmm.passes.engine.workers import waiting_for_workers
from tests.support.clusters import in_threads
from tests.support.command import COMMAND, here
from tests.support.fit_events import made
from tests.support.rows import two_groups
from tests.support.started import started

__all__ = ["here"]

ONE, TWO, THREE = (digit * 32 for digit in "abc")


@contextmanager
def running():
    """A cluster and a client of it."""
    with in_threads(threads_per_worker=2) as client:
        yield client.cluster, client


@pytest.fixture(scope="module")
def shared():
    with running() as made:
        yield made


@pytest.fixture
def client(shared):
    """A client of a cluster where no fit is known."""
    _, client = shared
    client.run_on_scheduler(lambda dask_scheduler: dask_scheduler._broker.truncate(TOPIC))
    return client


@pytest.fixture
def there(shared):
    return ("--scheduler", shared[0].scheduler_address)


def fit(run, **more):
    settings = {"random_state": 0, "subsample": None, "tol": 1e-6, **more}
    with made_for(run), waiting_for_workers(60):
        return GaussianMixture(2, **settings).fit(two_groups(500))


def start(*arguments, **options):
    command = [*COMMAND, "watch", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes | options)


def ended(process):
    out, err = process.communicate(timeout=200)
    return process.returncode, out.splitlines(), err.splitlines()


class Gate:
    """A callback that holds a fit after its first pass until it is opened."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, state):
        self.reached.set()
        assert self.opened.wait(60)


@contextmanager
def held(run, **more):
    """A fit in a thread that has made one pass, and goes on when the block ends."""
    gate = Gate()
    thread = threading.Thread(target=fit, args=(run,), kwargs={"callbacks": [gate], **more})
    thread.start()
    assert gate.reached.wait(60)
    try:
        yield gate
    finally:
        gate.opened.set()
        thread.join()


@pytest.mark.slow
def test_a_fit_that_begins_later_is_waited_for_and_followed_to_its_end(client, there):
    watch = start(*there)
    assert watch.stderr.readline() == "Waiting for a fit.\n"
    model = fit(ONE)
    code, out, err = ended(watch)
    assert (code, err) == (0, [])
    first, *passes, last = out
    assert first.startswith(f"Run {ONE}: GaussianMixture of 2 components (full) on 500 rows of 3")
    assert [line.split(":")[0] for line in passes] == [
        f"Pass {1 + number}" for number in range(model.n_iter_)
    ]
    assert last.startswith(f"The fit converged after {model.n_iter_} passes in ")
    assert last.endswith(f"s: lower bound {model.lower_bound_:.6f} nats a row.")


@pytest.mark.slow
def test_a_fit_that_goes_on_is_told_from_its_beginning(client, there):
    with held(ONE) as gate:
        watch = start(*there, "--json")
        events = [json.loads(watch.stdout.readline())]
        while events[-1]["event"] != "pass":
            events.append(json.loads(watch.stdout.readline()))
        kinds = [event["event"] for event in events]
        assert kinds == ["fit-start", *["starts"] * (len(kinds) - 2), "pass"]
        gate.opened.set()
    code, out, err = ended(watch)
    assert (code, err) == (0, [])
    told = [*events, *map(json.loads, out)]
    assert told == [json.loads(json.dumps(event)) for _, event in client.get_events(TOPIC)]


@pytest.mark.slow
def test_a_fit_that_has_ended_is_told_by_its_run(client, there, here):
    model = fit(ONE)
    done = here("watch", *there, "--run", ONE[:8])
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == model.n_iter_ + 2


@pytest.mark.slow
def test_of_several_fits_the_newest_is_followed_and_the_others_are_named(client, there):
    with held(ONE), held(TWO), held(THREE) as newest:
        watch = start(*there)
        said = watch.stderr.readline()
        assert said.startswith(f"Following run {THREE}. Others go on: ")
        assert ONE in said
        assert TWO in said
        other = start(*there, "--run", TWO[:4])
        assert TWO in other.stdout.readline()
        newest.opened.set()
        code, out, _ = ended(watch)
    assert code == 0
    assert out[-1].startswith("The fit converged after ")
    assert ended(other)[0] == 0


@pytest.mark.slow
def test_a_missed_beginning_does_not_matter(client, there, here):
    fit(ONE)
    events = [event for _, event in client.get_events(TOPIC)]
    client.run_on_scheduler(lambda dask_scheduler: dask_scheduler._broker.truncate(TOPIC))
    second = next(number for number, event in enumerate(events) if event.get("iteration") == 2)
    for event in events[second:]:
        client.log_event(TOPIC, event)
    done = here("watch", *there, "--run", ONE)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Pass 2: ")
    assert ONE in here("watch", *there, "--once").out


def test_events_of_others_under_the_topic_are_let_pass(client, there, here):
    client.log_event(TOPIC, "hello")
    client.log_event(TOPIC, {"event": "pass"})
    done = here("watch", *there, "--once")
    assert (done.code, done.out, done.err) == (0, "", "No fit is known there.\n")


@pytest.mark.slow
def test_once_tells_what_is_known_and_ends(client, there, here):
    fit(ONE)
    with held(TWO):
        heading, *fits = here("watch", *there, "--once").out.splitlines()
        assert heading.split()[:3] == ["run", "state", "estimator"]
        assert [line.split()[:2] for line in fits] == [[TWO, "running"], [ONE, "converged"]]
        lines = here("watch", *there, "--once", "--json", "--run", TWO).out.splitlines()
    known = [json.loads(line)["event"] for line in lines]
    assert known == ["fit-start", *["starts"] * (len(known) - 2), "pass"]
    assert "starts" in known
    assert here("watch", *there, "--once", "--run", "f00").code == 66


def test_once_says_of_a_fit_that_made_all_its_passes_what_the_page_says(client, there, here):
    with pytest.warns(ConvergenceWarning):
        fit(ONE, max_iter=1)
    assert "stopped at max_iter" in here("watch", *there, "--once").out


def test_it_ends_with_the_exit_code_of_the_fit(client, there, here):
    with made_for(ONE), pytest.raises(DataError):
        GaussianMixture(2).fit(np.full((50, 2), np.nan))
    done = here("watch", *there, "--run", ONE)
    assert done.code == 65
    assert "error: The fit failed after 0 passes in " in done.err
    assert "NaN" in done.err


@pytest.mark.slow
def test_a_fit_that_was_interrupted_can_be_run_again(client, there, here):
    def interrupt(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(ONE, callbacks=[interrupt])
    done = here("watch", *there, "--run", ONE)
    assert done.code == 75
    assert "The fit was interrupted after 1 pass in " in done.err
    assert "Run the fit again" in done.err


FOREVER = """
import sys, numpy as np
from distributed import Client
from daskgmm import GaussianMixture
with Client(sys.argv[1]):
    X = np.random.default_rng(0).normal(size=(500, 3))
    GaussianMixture(2, subsample=None, tol=0, max_iter=10**6).fit(X)
"""


@pytest.mark.slow
def test_a_fit_whose_process_was_killed_does_not_go_on_for_ever(client, there, here):
    command = [COMMAND[0], "-c", FOREVER, there[1]]
    with subprocess.Popen(command) as fitting:
        watch = start(*there)
        while not watch.stdout.readline().startswith("Pass 3"):
            assert watch.poll() is None
        fitting.kill()
        code, _, err = ended(watch)
    assert code == 75
    assert "left the cluster" in err[-2]
    assert here("watch", *there, "--once").out.splitlines()[1].split()[1] == "lost"


@pytest.mark.slow
def test_ctrl_c_ends_the_watching_and_not_the_fit(client, there):
    with held(ONE):
        watch = start(*there)
        watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        code, _, err = ended(watch)
    assert code == 130
    assert err == ["error: Interrupted.", "Fits go on whether they are watched or not."]
    assert client.get_events(TOPIC)[-1][1]["stopped"] == "converged"


def worker_of(client):
    """A worker of its cluster, in a process of its own."""
    return started(["dask", "worker", client.scheduler.address, "--no-nanny", "--no-dashboard"])


def missed(client):
    """An event that is set once the scheduler has lost a worker."""
    lost = threading.Event()

    def heard(event):
        if event[1].get("action") == "remove-worker":
            lost.set()

    client.subscribe_topic("all", heard)
    return lost


@pytest.mark.slow
def test_that_a_cluster_has_lost_its_workers_is_said_and_that_others_have_come():
    with in_threads(0) as client:
        there = ("--scheduler", client.scheduler.address)
        with worker_of(client) as worker, held(ONE) as gate:
            watches = [start(*there), start(*there, "--json")]
            for watch in watches:
                while "pass" not in watch.stdout.readline().lower():
                    assert watch.poll() is None
            worker.process.kill()
            assert [watch.stderr.readline() for watch in watches] == [f"{NO_WORKERS}\n"] * 2
            watches.append(start(*there))
            assert watches[-1].stderr.readline() == f"{NO_WORKERS}\n"
            with worker_of(client):
                came = [watch.stderr.readline() for watch in watches]
                assert came == [f"{WORKERS_CAME}\n"] * 3
                gate.opened.set()
                ends = [ended(watch) for watch in watches]
    assert [(code, err) for code, _, err in ends] == [(0, [])] * 3
    assert {json.loads(line)["event"] for line in ends[1][1]} == {"pass", "fit-end"}


@pytest.mark.slow
def test_a_worker_that_leaves_others_behind_is_not_worth_a_word():
    with in_threads(1) as client, worker_of(client) as worker:
        client.wait_for_workers(2)
        lost = missed(client)
        with held(ONE) as gate:
            watch = start("--scheduler", client.scheduler.address)
            watch.stdout.readline()
            worker.process.kill()
            assert lost.wait(60)
            gate.opened.set()
            code, _, err = ended(watch)
    assert (code, err) == (0, [])


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_said():
    with running() as (cluster, _):
        watch = start("--scheduler", cluster.scheduler_address)
        watch.stderr.readline()
        cluster.close()
        code, _, err = ended(watch)
    assert code == 75
    assert err[0] == "error: The connection to the scheduler was lost."


def test_without_a_scheduler_it_says_what_is_missing(here):
    done = here("watch")
    assert (done.code, done.out) == (2, "")
    assert "--scheduler ADDRESS|FILE" in done.err


@pytest.mark.slow
def test_on_a_terminal_the_picture_moves_and_the_end_stays(client, there):
    ours, its = pty.openpty()
    seen = ""
    with held(ONE) as gate:
        screen = os.environ | {"COLUMNS": "60", "LINES": "20", "TERM": "xterm"}
        watch = start(*there, stdout=its, env=screen)
        os.close(its)
        while "pass 1 of at most 100" not in seen:
            seen += os.read(ours, 4096).decode()
        gate.opened.set()
    with suppress(OSError):  # how a terminal ends
        while piece := os.read(ours, 4096):
            seen += piece.decode()
    os.close(ours)
    watch.communicate(timeout=200)
    assert watch.returncode == 0
    assert "The fit converged after" in seen
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h") == 1  # the cursor is back


def test_on_a_terminal_it_stands_that_the_cluster_has_no_workers_while_it_is_so():
    picture = WatchDisplay(Console(file=StringIO()))
    run = FitHistory(ONE, heard=0.0).after(made(1, ONE), 0.0)
    for news, stands in [
        (News(run), False),
        (News(run, has_workers=False), True),
        (News(run), True),
        (News(run, has_workers=True), False),
    ]:
        picture.show(news)
        lines = str(picture.lines()).splitlines()
        assert (NO_WORKERS in lines) is stands
        assert lines[-1].startswith("no news for ") is not stands  # on the page as well: the cause


def test_a_narrow_terminal_loses_no_number():
    console = Console(width=40, file=StringIO(), force_terminal=True, color_system=None)
    picture = WatchDisplay(console)
    console.print(picture.lines())
    assert console.file.getvalue() == ""  # that it waits has been logged
    run = FitHistory(ONE, heard=0.0)
    for iteration in (1, 2, 3):
        limits = {"max_iter": 100, "starts": 2, "starts_going": 1}
        run = run.after({**made(iteration, ONE), **limits}, 0.0)
    picture._run = run
    console.print(picture.lines())
    lines = console.file.getvalue().splitlines()
    assert all(len(line.rstrip()) <= 40 for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "pass 3 of at most 100" in text
    assert "(tol 0.001), 1 of 2 starts go on, 20 rows/s" in text
