"""What will hurt, on this machine and on a cluster."""

import inspect
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from daskgmm.jobs.cluster import scheduler
from daskgmm.jobs.doctor import cluster as of_cluster
from daskgmm.jobs.doctor import environment, processor, resources
from daskgmm.jobs.doctor.finding import Findings
from daskgmm.jobs.doctor.report import OF_CLUSTER, OF_PROCESS, look
from tests.support.clusters import closed_port, cluster_of
from tests.support.command import COMMAND, here, in_process, made

__all__ = ["here"]


def flags():
    file = Path("/proc/cpuinfo")
    return file.read_text().split() if file.exists() else []


WIDE = "avx512vl" in flags()


def examined(*arguments, **variables):
    """Findings of a process of its own, whose environment decides, by their checks."""
    done = in_process("doctor", "--json", *arguments, command=COMMAND, env=os.environ | variables)
    assert (done.code, done.err) == (0, "")
    return {finding["check"]: finding for finding in json.loads(done.out)}


def crowded(**options):
    """A cluster of two workers that share a machine, with little memory for their many threads."""
    return cluster_of(2, threads_per_worker=os.cpu_count() + 1, memory_limit="400MB", **options)


@pytest.fixture(scope="module")
def cluster():
    """One whose workers are threads here."""
    with crowded(processes=False, protocol="tcp://") as cluster:
        yield cluster


def of_its_workers(cluster):
    done = made("doctor", "--json", "--scheduler", cluster.scheduler_address)
    assert (done.code, done.err) == (0, "")
    return {finding["check"]: finding for finding in json.loads(done.out)}


def test_every_check_finds_something_on_this_machine():
    found = look(OF_PROCESS, None)
    assert {name for name, _ in found} == set(OF_PROCESS)
    assert not [finding.fact for _, finding in found if "check failed" in finding.fact]


def test_every_public_function_of_a_module_of_checks_is_in_the_registry_once():
    modules = (of_cluster, environment, processor, resources)
    checks = [
        function
        for module in modules
        for function in vars(module).values()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not function.__name__.startswith("_")
        and function.__annotations__.get("return") is Findings
        and function is not environment.of_scheduler  # called by the cluster's check of settings
    ]
    registered = [*OF_PROCESS.values(), *OF_CLUSTER.values()]
    assert sorted(map(repr, checks)) == sorted(map(repr, registered))


def test_each_finding_is_a_line_with_its_level_and_remedy(here):
    done = here("doctor")
    assert (done.code, done.err) == (0, "")
    levels = [line.split()[0] for line in done.out.splitlines()]
    assert len(levels) >= len(OF_PROCESS)
    assert set(levels) <= {"ok", "warning", "problem"}


@pytest.fixture(scope="module")
def hindered():
    """Findings of a process whose environment hurts in each way that this machine can show."""
    variables = {
        "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
        "DASK_TEMPORARY_DIRECTORY": "/dev/shm",  # noqa: S108
        "NUMBA_CACHE_DIR": "/proc/nowhere",
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
    }
    if WIDE:
        variables["OPENBLAS_CORETYPE"] = "Haswell"
    return examined(**variables)


@pytest.mark.skipif(not WIDE, reason="the CPU has no AVX-512")
@pytest.mark.slow
def test_a_blas_that_misses_the_vector_width_is_a_problem(hindered):
    found = hindered["vector width"]
    assert found["level"] == "problem"
    assert "OPENBLAS_CORETYPE=Haswell asks for it" in found["fact"]
    assert "OPENBLAS_CORETYPE=SkylakeX" in found["remedy"]


@pytest.mark.skipif(not WIDE, reason="the CPU has no AVX-512")
@pytest.mark.slow
def test_a_blas_that_uses_the_vector_width_is_well():
    assert examined(OPENBLAS_CORETYPE="SkylakeX")["vector width"]["level"] == "ok"


@pytest.mark.slow
def test_settings_of_the_environment_that_hurt_are_found(hindered):
    for check in ("Dask's settings", "compiled kernels"):
        assert hindered[check]["level"] == "warning", check
        assert hindered[check]["remedy"]
    assert "memory.spill is off" in hindered["Dask's settings"]["fact"]


@pytest.mark.slow
@pytest.mark.skipif(resources.file_system_kind(Path("/dev/shm")) != "tmpfs", reason="no tmpfs here")  # noqa: S108
def test_a_disk_in_memory_is_warned_of(hindered):
    found = hindered["disk kind"]
    assert found["level"] == "warning"
    assert "tmpfs" in found["fact"]


@pytest.mark.slow
def test_workers_are_looked_at_each_in_its_process():
    with crowded(processes=True) as cluster:
        workers, found = sorted(cluster.scheduler_info["workers"]), of_its_workers(cluster)
    assert set(found) >= {*OF_PROCESS, *OF_CLUSTER}
    for check in ("memory", "cores", "compiled kernels"):
        assert sorted(found[check]["where"]) == workers
    assert found["memory"]["level"] == "problem"
    assert "0.4 GiB" in found["memory"]["fact"]
    assert found["cores"]["level"] == "warning"


def test_a_cluster_is_looked_at_as_a_whole(cluster):
    found = of_its_workers(cluster)
    for check in ("versions", "clocks", "workers' packages", "scheduler's settings"):
        assert found[check]["level"] == "ok", found[check]
    assert found["shared cores"]["level"] == "warning"
    assert f"{2 * (os.cpu_count() + 1)} threads" in found["shared cores"]["fact"]


@pytest.mark.parametrize("profiled", [True, False])
def test_a_profiler_that_may_stop_workers_is_warned_of(cluster, profiled):
    with dask.config.set({"distributed.worker.profile.enabled": profiled}):
        found = of_its_workers(cluster)["Dask's settings"]
    stops = profiled and sys.version_info < (3, 12)
    assert found["level"] == ("warning" if stops else "ok")
    assert ("may stop a worker" in found["fact"]) == stops


def test_a_finding_of_many_workers_is_one_line_of_text(cluster, here):
    lines = here("doctor", "--scheduler", cluster.scheduler_address).out.splitlines()
    (memory,) = [line for line in lines if " memory: " in line]
    assert memory.startswith("problem ")
    assert memory.endswith("[2 workers]")


def test_a_cluster_without_workers_is_a_problem(here):
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty:
        done = here("doctor", "--scheduler", empty.scheduler_address)
    assert (done.code, done.out.split(":")[0]) == (0, "problem  workers")


def test_a_worker_without_a_nanny_has_neither_a_memory_limit_nor_one_thread_of_blas(here):
    with LocalCluster(
        n_workers=1,
        threads_per_worker=os.cpu_count(),
        processes=False,
        memory_limit=0,
        dashboard_address=":0",
    ) as bare:
        done = here("doctor", "--scheduler", bare.scheduler_address)
    assert "warning  memory: The worker has no memory limit" in done.out
    assert ("warning  BLAS threads" in done.out) == (os.cpu_count() > 1)


def test_a_cluster_that_does_not_answer_is_a_failure(here, monkeypatch):
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 0.7)
    done = here("doctor", "--scheduler", f"127.0.0.1:{closed_port()}")
    assert (done.code, done.out) == (75, "")


@dataclass(frozen=True)
class Skewed:
    """Answers as a client of a cluster whose worker's clock is off and whose packages are old."""

    off: float = 0.0
    old: bool = False

    def run(self, function, *arguments, on_error):
        answer = function(*arguments)
        if function is time.time:
            return {"tcp://far:1": answer + self.off}
        return {"tcp://far:1": answer | ({"numpy": "1.0", "daskgmm": "0.0"} if self.old else {})}

    def get_versions(self):
        return {side: {"packages": {}} for side in ("client", "scheduler")} | {
            "workers": {"tcp://far:1": {"packages": {}}}
        }


@pytest.mark.parametrize(("off", "level"), [(0, "ok"), (-20, "warning"), (3000, "problem")])
def test_clocks_that_differ_are_found(off, level):
    (finding,) = of_cluster.clocks(Skewed(off=off))
    assert finding.level == level
    assert level == "ok" or str(abs(off))[:2] in finding.fact


def test_versions_that_differ_are_found_with_the_places():
    found = {one.fact.split(":")[0]: one for one in of_cluster.versions(Skewed(old=True))}
    assert found["daskgmm"].level == "problem"
    assert found["numpy"].level == "warning"
    assert "0.0 on tcp://far:1" in found["daskgmm"].fact


def test_a_check_that_fails_is_told_and_hides_no_other():
    def broken(_):
        raise ValueError("odd")

    found = look({"odd": broken, **OF_PROCESS}, None)
    assert found[0][1].level == "warning"
    assert "ValueError: odd" in found[0][1].fact
    assert len(found) > len(OF_PROCESS)


@pytest.mark.slow
def test_a_worker_without_our_package_is_a_problem(cluster):
    from daskgmm.jobs.doctor.report import _of_worker

    with Client(cluster) as client:
        answers = client.run(_no_such_module, on_error="return")
    for answer in answers.values():
        ((_, finding),) = _of_worker(answer)
        assert finding.level == "problem"
        assert "No module named" in finding.fact


def _no_such_module():
    import daskgmm_that_is_not_there  # noqa: F401
