"""What tests run in workers and other processes, which import it from here."""

import operator

from distributed import Event

from daskgmm import jobs
from daskgmm.errors import DaskGMMError
from daskgmm.jobs.cluster import workplace
from daskgmm.jobs.listener import Silence
from daskgmm.passes.engine.work import each_part


class Ear(Silence):
    """Notes where a job runs."""

    place = None

    def start(self, start):
        self.place = start.place


def fit_in_task(rows, run, small_bytes=workplace.SMALL_BYTES, **options):
    """A fit, and where it ran; inputs of more than `small_bytes` count as large."""
    before, workplace.SMALL_BYTES, ear = workplace.SMALL_BYTES, small_bytes, Ear()
    try:
        record = jobs.fit(rows, run, components=2, seed=0, refine="none", listener=ear, **options)
    finally:
        workplace.SMALL_BYTES = before
    return {"record": record, "place": ear.place}


def score_in_task(run, rows):
    return jobs.score(run, rows)


def fit_with_workers(rows, run):
    """The name of the error that workers in this process are."""
    try:
        jobs.fit(rows, run, components=2, workers=1)
    except DaskGMMError as error:
        return type(error).__name__
    return None


class HeldPart:
    """A part that is read once a cluster's event is set; without one, at once."""

    inputs = ()

    def __init__(self, position, event=None):
        self.position = position
        self.event = event

    @property
    def label(self):
        return f"part {self.position}"

    def read(self):
        if self.event is not None:
            Event(self.event).wait()
        yield self.position


def begin_sum(argument):
    """A pass that adds positions."""

    def on_part(position, part, blocks):
        return argument + sum(blocks)

    return each_part(on_part, operator.add)
