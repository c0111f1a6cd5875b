"""The commands of deploy/kubernetes as real processes on loopback, by TLS, with a real S3 store."""

import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from certificates import made
from started import inside, started

from daskgmm import load
from tests import manifests
from tests.command import in_process
from tests.manifests import FOLDER, built, containers, one
from tests.stores import KEY, SECRET, s3, s3_server

__all__ = ["s3", "s3_server"]

pytestmark = pytest.mark.slow
MACHINE = ("OPENBLAS_", "MKL_", "OMP_")
"""Variables of a BLAS stay as they are here."""


class Node:
    """Where containers run as processes: their files are in a folder, their ports on loopback.

    Parameters
    ----------
    folder : Path
    applied : list of dict
        Manifests.
    keys : dict
        Variables of the secret ``daskgmm-store``.
    """

    def __init__(self, folder, applied, keys):
        self._folder, self._applied, self._keys = folder, applied, keys
        self._address = "127.0.0.1:0"
        self._pki = made(folder / "pki")
        (folder / "scratch").mkdir()
        job = one(applied, "ConfigMap", "daskgmm-job")["data"]["job.toml"]
        self._job = job

    def scheduler_is(self, address):
        self._address = address.removeprefix("tls://")

    def command(self, container, role):
        """A container's words and variables, with what is elsewhere here."""
        variables = manifests.environment(container, self._applied)
        variables["DASK_WORKER_NAME"] = "worker-0"  # the operator's
        words = [self._here(word, role) for word in manifests.command(container, variables)]
        if any("secretRef" in each for each in container["envFrom"]):
            variables |= self._keys
        kept = {
            name: self._here(value, role)
            for name, value in variables.items()
            if not name.startswith(MACHINE)
        }
        (self._folder / "job.toml").write_text(self._here(self._job, role))
        return words, kept

    def _here(self, text, role):
        host, _, port = self._address.rpartition(":")
        text = re.sub(r"daskgmm(-once)?-scheduler(:|', )8786", rf"{host}\g<2>{port}", text)
        text = text.replace("--port=8786", "--port=0")
        text = re.sub(r"(--dashboard-address=):878\d", r"\g<1>127.0.0.1:0", text)
        for theirs, ours in (
            ("/etc/dask/tls/ca.crt", self._pki / "ca.pem"),
            ("/etc/dask/tls/tls.crt", self._pki / f"{role}.pem"),
            ("/etc/dask/tls/tls.key", self._pki / f"{role}-key.pem"),
            ("/etc/daskgmm/job.toml", self._folder / "job.toml"),
            ("=/scratch", f"={self._folder / 'scratch'}"),
        ):
            text = text.replace(theirs, str(ours))
        return text

    def run(self, container):
        """Run one of a job's containers to its end."""
        words, variables = self.command(container, "client")
        return in_process(command=words, env=inside(variables))


def rows():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 3)) * 8
    return pd.DataFrame(rng.normal(size=(4000, 3)) + centres[np.arange(4000) % 8], columns=[*"abc"])


@pytest.fixture
def applied(request, s3):
    """Manifests of a folder, their data in a real store."""
    found = built(request.param)
    one(found, "ConfigMap", "daskgmm-data")["data"]["DATA"] = s3.url
    return found


@pytest.fixture
def node(applied, s3, tmp_path):
    keys = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": s3.endpoint,
    }
    return Node(tmp_path, applied, keys)


@pytest.fixture
def pages(node, applied):
    """The two addresses of pages of a scheduler and a worker, which run in the meantime."""
    scheduler, worker = (
        container
        for each in manifests.made_by_operator(applied)
        if each["kind"] == "Deployment"
        for container in containers(each)
    )
    words, variables = node.command(scheduler, "scheduler")
    with started([*words, "--host=127.0.0.1"], variables) as first:
        node.scheduler_is(first.until(r"Scheduler at:\s+(tls://\S+)"))
        its_pages = first.until(r"dashboard at:\s+(http://[^/]+)")
        words, variables = node.command(worker, "worker")
        with started([*words, "--host=127.0.0.1"], variables) as second:
            worker_pages = second.until(r"dashboard at:\s+(\S+)")
            second.until("Registered to:")
            yield its_pages, f"http://{worker_pages}"


def got(url):
    with urllib.request.urlopen(url) as answer:  # noqa: S310  our own, on loopback
        return answer.read().decode()


@pytest.mark.parametrize("applied", [FOLDER], ids=["nightly"], indirect=True)
def test_a_night_is_fitted_scored_and_labelled(node, applied, s3, pages, tmp_path):
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    frame = rows()
    frame.to_parquet(tmp_path / "rows.parquet")
    s3.filesystem.put(str(tmp_path / "rows.parquet"), f"{s3.url}/rows/date={yesterday}/0.parquet")
    steps = list(containers(one(applied, "CronJob")))
    assert [each["name"] for each in steps] == ["fit", "score", "predict"]
    for step in steps:
        done = node.run(step)
        assert done.code == 0, done.err
    model = load(f"{s3.url}/models/{yesterday}", storage_options=s3.options)
    alone = in_process(
        "fit", tmp_path / "rows.parquet", "-k", 8, "--seed", 0, "-o", tmp_path / "alone"
    )
    assert alone.code == 0
    assert np.array_equal(model.means_, load(tmp_path / "alone").means_)
    with s3.filesystem.open(f"{s3.url}/labels/{yesterday}/_SUCCESS"):
        pass
    again = node.run(steps[0])
    assert again.code == 0
    assert "already complete" in again.err
    wanted = json.loads(got(f"{pages[0]}/api/v1/adaptive_target"))[
        "workers"
    ]  # as the operator asks
    assert wanted >= 0
