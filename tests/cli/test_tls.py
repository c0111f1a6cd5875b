"""A scheduler that requires certificates."""

import time

import pytest
from distributed import LocalCluster
from distributed.security import Security

from daskgmm.jobs.cluster import scheduler
from tests.support.certificates import files, made
from tests.support.command import here
from tests.support.paths import IRIS

__all__ = ["here"]

FIT = (
    "fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 2,
    "--seed", 0, "--refine", "none",
)  # fmt: skip


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return made(tmp_path_factory.mktemp("ours") / "pem")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    return made(tmp_path_factory.mktemp("strangers") / "pem")


@pytest.fixture(scope="module")
def address(ours):
    """Of a scheduler with one worker, a thread here, all by TLS."""
    given = {"tls_ca_file": str(ours / "ca.pem"), "require_encryption": True}
    for role in ("client", "scheduler", "worker"):
        given[f"tls_{role}_cert"] = str(ours / f"{role}.pem")
        given[f"tls_{role}_key"] = str(ours / f"{role}-key.pem")
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tls://",
        security=Security(**given),
        dashboard_address=":0",
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
def test_a_fit_runs_there_with_certificates(tmp_path, address, ours, here):
    done = here(*FIT, "-o", tmp_path / "run", "--scheduler", address, *files(ours))
    assert done.code == 0
    assert f"on 1 worker of {address}" in done.err
    assert address.startswith("tls://")


@pytest.mark.slow
def test_an_address_without_a_scheme_is_taken_for_tls(tmp_path, address, ours, here):
    there = ("--scheduler", address.removeprefix("tls://"), *files(ours))
    assert here(*FIT, "-o", tmp_path / "run", *there).code == 0


@pytest.mark.slow
def test_who_has_no_certificate_is_refused_and_told_why(tmp_path, address, here):
    began = time.monotonic()
    done = here(*FIT, "-o", tmp_path / "run", "--scheduler", address)
    assert time.monotonic() - began < scheduler.CONNECT_SECONDS
    assert (done.code, done.out) == (75, "")
    assert "requires a certificate" in done.err
    assert "--tls-ca" in done.err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]


@pytest.mark.parametrize("way", ["stranger", "plain"])
def test_who_comes_in_another_way_is_refused_in_time(tmp_path, address, strangers, way, here):
    there = ["--scheduler", address, *files(strangers)]
    if way == "plain":
        there = ["--scheduler", address.replace("tls://", "tcp://")]
    began = time.monotonic()
    done = here(*FIT, "-o", tmp_path / "run", *there)
    assert time.monotonic() - began < scheduler.CONNECT_SECONDS + 5
    assert (done.code, done.out) == (75, "")
    assert "TLS" in done.err or "certificate" in done.err.lower()


WRONG = [
    (["--tls-ca=nope.pem", "--tls-cert=CERT"], "nope.pem does not exist"),
    (["--tls-ca=CA"], "not the certificate of the client"),
    (["--tls-key=KEY"], "not the certificate of the authority"),
    (["--tls-ca=CA", "--tls-cert=KEY"], "can't be used"),
    (
        ["--tls-ca=CA", "--tls-cert=CERT", "--tls-key=KEY", "--scheduler=tcp://h:1"],
        "not a TLS address",
    ),
]


@pytest.mark.parametrize(("arguments", "cause"), WRONG, ids=[case[1] for case in WRONG])
def test_wrong_files_are_wrong_usage(tmp_path, ours, here, arguments, cause):
    for word, name in (("CA", "ca"), ("CERT", "client"), ("KEY", "client-key")):
        arguments = [each.replace(word, str(ours / f"{name}.pem")) for each in arguments]
    scheduler_given = any(word.startswith("--scheduler") for word in arguments)
    there = arguments if scheduler_given else [*arguments, "--scheduler=tls://127.0.0.1:1"]
    done = here(*FIT, "-o", tmp_path / "run", *there)
    assert (done.code, done.out) == (2, "")
    assert cause in done.err


def test_certificates_without_a_scheduler_are_wrong_usage(tmp_path, ours, here):
    done = here(*FIT, "-o", tmp_path / "run", *files(ours))
    assert (done.code, "without a scheduler" in done.err) == (2, True)
