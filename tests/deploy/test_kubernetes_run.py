"""The commands of deploy/kubernetes as real processes on loopback, by TLS, with a real S3 store."""

import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from daskgmm import load
from tests.support import manifests
from tests.support.certificates import made
from tests.support.command import here, in_process
from tests.support.manifests import FOLDER, built, containers, one
from tests.support.started import inside, started
from tests.support.stores import KEY, SECRET, s3, s3_server

__all__ = ["here", "s3", "s3_server"]

pytestmark = pytest.mark.slow
MACHINE = ("OPENBLAS_", "MKL_", "OMP_")
"""Variables of a BLAS stay as they are here."""


WORKER = "daskgmm-default-worker-0123456789"


class Node:
    """Where containers run as processes: their files are in a folder, their ports on loopback.

    Parameters
    ----------
    folder : Path
    keys : dict
        Variables of the secret ``daskgmm-store``.
    """

    def __init__(self, folder, keys):
        self._folder, self._keys = folder, keys
        self._pki = made(folder / "pki")
        (folder / "scratch").mkdir()
        self.scheduler = "tls://127.0.0.1:0"
        """Its address, once it is known."""

    def run(self, container, applied):
        """Run a container of a job to its end."""
        words, variables = self.command(container, applied, "client")
        return in_process(command=words, env=inside(variables))

    def command(self, container, applied, role):
        """A container's words and variables, with what is elsewhere here."""
        variables = manifests.environment(container, applied)
        variables.setdefault("DASK_WORKER_NAME", WORKER)
        words = manifests.command(container, variables)
        if any("secretRef" in each for each in container["envFrom"]):
            variables |= self._keys
        job = one(applied, "ConfigMap", "daskgmm-job")["data"]["job.toml"]
        (self._folder / "job.toml").write_text(self._here(job, role))
        ours = {name: value for name, value in variables.items() if not name.startswith(MACHINE)}
        return (
            [self._here(word, role) for word in words],
            {name: self._here(value, role) for name, value in ours.items()},
        )

    def _here(self, text, role):
        text = re.sub(r"tls://daskgmm(-once)?-scheduler:8786", self.scheduler, text)
        text = text.replace("--port=8786", "--port=0")
        text = re.sub(r"(--dashboard-address=):878\d", r"\g<1>127.0.0.1:0", text)
        text = re.sub(r"wait_for_workers\(\d+", "wait_for_workers(1", text)
        for theirs, ours in (
            ("/etc/dask/tls/ca.crt", self._pki / "ca.pem"),
            ("/etc/dask/tls/tls.crt", self._pki / f"{role}.pem"),
            ("/etc/dask/tls/tls.key", self._pki / f"{role}-key.pem"),
            ("/etc/daskgmm/job.toml", self._folder / "job.toml"),
            ("=/scratch", f"={self._folder / 'scratch'}"),
        ):
            text = text.replace(theirs, str(ours))
        return text


@pytest.fixture(scope="module")
def node(tmp_path_factory, s3_server):
    keys = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": s3_server,
    }
    return Node(tmp_path_factory.mktemp("node"), keys)


@pytest.fixture(scope="module")
def pages(node):
    """Addresses of a scheduler's and a worker's pages, where both run, as their pods' ports."""
    applied = built(FOLDER)
    (scheduler,), (worker,) = (
        containers(manifests.pod_of(applied, role)) for role in ("scheduler", "worker")
    )
    words, variables = node.command(scheduler, applied, "scheduler")
    with started([*words, "--host=127.0.0.1"], variables) as first:
        node.scheduler = first.until(r"Scheduler at:\s+(tls://\S+)")
        its_pages = first.until(r"dashboard at:\s+(http://[^/]+)")
        words, variables = node.command(worker, applied, "worker")
        with started([*words, "--host=127.0.0.1"], variables) as second:
            worker_pages = second.until(r"dashboard at:\s+(\S+)")
            second.until("Registered to:")
            yield [(scheduler, its_pages), (worker, f"http://{worker_pages}")]


def got(url):
    with urllib.request.urlopen(url) as answer:  # noqa: S310  our own, on loopback
        return answer.read().decode()


@pytest.fixture
def rows(tmp_path, s3):
    """A file of rows, which the store has as those of yesterday."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4000, 3)) + np.arange(4000)[:, None] % 8 * 6
    file = tmp_path / "rows.parquet"
    pd.DataFrame(values, columns=[*"abc"]).to_parquet(file)
    s3.filesystem.put(str(file), f"{s3.url}/rows/date={yesterday()}/0.parquet")
    return file


def yesterday():
    return f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"


def applied_to(folder, store):
    """Manifests with the second edit."""
    applied = built(folder)
    one(applied, "ConfigMap", "daskgmm-data")["data"]["DATA"] = store.url
    return applied


@pytest.mark.long
def test_a_night_is_fitted_scored_and_labelled_and_again_is_done_already(
    node,
    pages,
    rows,
    s3,
    tmp_path,
    here,
):
    applied = applied_to(FOLDER, s3)
    steps = list(containers(manifests.pod_of(applied, "nightly")))
    assert [each["name"] for each in steps] == ["fit", "score", "predict"]
    for step in steps:
        done = node.run(step, applied)
        assert done.code == 0, done.err
    assert here("fit", rows, "-k", 8, "--seed", 0, "-o", tmp_path / "alone").code == 0
    model = load(f"{s3.url}/models/{yesterday()}", storage_options=s3.options)
    assert np.array_equal(model.means_, load(tmp_path / "alone").means_)
    assert s3.filesystem.exists(f"{s3.url}/labels/{yesterday()}/_SUCCESS")
    again = node.run(steps[0], applied)
    assert again.code == 0
    assert "already complete" in again.err


def test_the_one_shot_waits_for_its_workers_and_fits_all_rows(node, pages, rows, s3):
    applied = applied_to(FOLDER / "once", s3)
    for step in containers(manifests.pod_of(applied, "job-runner")):
        done = node.run(step, applied)
        assert done.code == 0, done.err
    assert load(f"{s3.url}/models/once", storage_options=s3.options).n_rows_ == 4000


def test_probes_are_answered(pages):
    for container, address in pages:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert got(address + container[probe]["httpGet"]["path"]) == "ok"


def test_the_scheduler_shows_fits_and_answers_prometheus_and_the_operator(pages):
    (_, address), _ = pages
    assert json.loads(got(f"{address}/daskgmm.json")) is not None
    (endpoint,) = one(built(FOLDER), "ServiceMonitor")["spec"]["endpoints"]
    assert "dask_scheduler_workers" in got(address + endpoint["path"])
    assert json.loads(got(f"{address}/api/v1/adaptive_target"))["workers"] >= 0
    (worker,) = json.loads(got(f"{address}/api/v1/get_workers"))["workers"]
    assert worker["name"] == WORKER  # by which the operator takes the right one away
