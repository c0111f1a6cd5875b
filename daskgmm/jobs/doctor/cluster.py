"""Checks of a whole cluster: versions, clocks, shared cores, the scheduler's settings."""

import time
from collections import defaultdict
from importlib.util import find_spec
from typing import Any

import dask

from daskgmm.jobs.doctor import environment
from daskgmm.jobs.doctor.environment import OPTIONAL
from daskgmm.jobs.doctor.finding import Findings, ok, problem, warning
from daskgmm.jobs.doctor.processor import cores
from daskgmm.jobs.runs import record
from daskgmm.passes.engine.workers import workers_of

_SAME = ("daskgmm", "python", "dask", "distributed", "cloudpickle", "msgpack")
"""Packages that need the same version everywhere, or processes may fail to communicate."""

_SKEW = 1.0
"""Difference between clocks (seconds) that is a warning."""

_SKEW_OF_STORES = 300.0
"""Difference (seconds) that is a problem: object stores refuse signatures about this old."""


def versions(client: Any) -> Findings:
    """Check that client, scheduler and workers run the same versions of packages."""
    found = client.get_versions()
    ours = client.run(record.versions, on_error="ignore")
    sides = [("client", _of(found["client"]) | record.versions())]
    sides.append(("scheduler", _of(found["scheduler"])))
    sides += [(each, _of(of) | ours.get(each, {})) for each, of in found["workers"].items()]
    skewed = False
    for name in sorted({name for _, packages in sides for name in packages}):
        where = defaultdict(list)
        for side, packages in sides:
            if packages.get(name):
                where[packages[name]].append(side)
        if len(where) > 1:
            skewed = True
            shown = "; ".join(f"{each} on {_few(on)}" for each, on in sorted(where.items()))
            kind = problem if name in _SAME else warning
            yield kind(f"{name}: {shown}.", "Install the same version everywhere.")
    if not skewed:
        yield ok("Client, scheduler and workers run the same versions.")


def clocks(client: Any) -> Findings:
    """Check that the workers' clocks agree with this machine's."""
    asked = time.time()
    shown = client.run(time.time, on_error="ignore")
    answered = time.time()
    # A worker read its clock at an unknown moment between these two times.
    ahead = {each: max(asked - at, at - answered, 0.0) for each, at in shown.items()}
    off = {each: seconds for each, seconds in ahead.items() if seconds > _SKEW}
    if not off:
        yield ok("The workers' clocks show the time of this machine.")
        return
    worst = max(off.values())
    kind = problem if worst > _SKEW_OF_STORES else warning
    yield kind(
        f"Clocks are up to {worst:.0f} s off on {_few(list(off))}: times in logs and of files "
        "mislead, and stores may refuse signatures.",
        "Synchronise the clocks, for example by NTP.",
    )


def processors(client: Any) -> Findings:
    """Check that the workers of a machine don't run more threads than it has cores."""
    usable = client.run(cores, on_error="ignore")
    threads: dict[str, int] = defaultdict(int)
    of_host: dict[str, int] = {}
    for address, facts in workers_of(client).items():
        threads[facts["host"]] += facts["nthreads"]
        of_host[facts["host"]] = max(of_host.get(facts["host"], 1), usable.get(address, 1))
    crowded = [host for host, count in threads.items() if count > of_host[host]]
    for host in crowded:
        yield warning(
            f"Workers on {host} run {threads[host]} threads on {of_host[host]} cores.",
            "Start fewer workers, or give them fewer threads.",
        )
    if not crowded:
        yield ok("No machine runs more worker threads than it has cores.")


def packages(client: Any) -> Findings:
    """Check that workers have the optional packages that are installed here."""
    lacking = False
    found = {module: client.run(_has, module, on_error="ignore") for module in OPTIONAL}
    for module, workers in found.items():
        without = [each for each, has in workers.items() if not has]
        if find_spec(module) is not None and without:
            lacking = True
            yield warning(
                f"{module}, which {OPTIONAL[module][1]} need, is installed here, but not on "
                f"{_few(without)}.",
                f"Install it there: pip install 'daskgmm[{OPTIONAL[module][0]}]'.",
            )
    if not lacking:
        yield ok("Workers have the optional packages that are installed here.")


def settings(client: Any) -> Findings:
    """Check the settings of the scheduler's process."""
    names = ("worker-saturation", "allowed-failures")
    values = [
        client.run_on_scheduler(dask.config.get, f"distributed.scheduler.{name}") for name in names
    ]
    yield from environment.of_scheduler(float(values[0]), int(values[1]))


def _has(module: str) -> bool:
    return find_spec(module) is not None


def _of(side: Any) -> dict[str, str]:
    """Versions by package in Dask's report of a process, with Python's in our form of it."""
    found = dict(side.get("packages", {})) if side else {}
    python = str(found.pop("python", "")).removesuffix(".final.0")
    return {name: str(each) for name, each in found.items() if each} | {"python": python}


def _few(workers: list[str]) -> str:
    more = f" and {len(workers) - 2} more" if len(workers) > 2 else ""
    return ", ".join(workers[:2]) + more
