"""A scheduler that talks to those with a certificate only."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import LocalCluster
from distributed.security import Security

from daskgmm.jobs import scheduler
from tests.command import here, in_process

__all__ = ["here"]

IRIS = Path(__file__).parents[1] / "examples" / "data" / "iris.csv"
FIT = ("fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 2, "--seed", 0)


def write_certificates(folder):
    """An authority, and a certificate that it signed: ca.pem, cert.pem and key.pem."""
    folder.mkdir()
    authority, holder = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("authority", authority, "authority", authority, ca=True)
    cert = certificate("holder", holder, "authority", authority, ca=False)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key = holder.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(key)
    return folder


def certificate(subject, key, issuer, signer, *, ca):
    subject, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)
    )
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), 1 if ca else 2)
    builder = builder.not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(signer, hashes.SHA256())


def files(folder):
    return [f"--tls-{name}={folder / name}.pem" for name in ("ca", "cert", "key")]


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return write_certificates(tmp_path_factory.mktemp("ours") / "pem")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    return write_certificates(tmp_path_factory.mktemp("strangers") / "pem")


@pytest.fixture(scope="module")
def address(ours):
    """Of a scheduler with one worker, a process of its own, all by TLS."""
    ca, cert, key = (str(ours / f"{name}.pem") for name in ("ca", "cert", "key"))
    given = {"tls_ca_file": ca, "require_encryption": True}
    for role in ("client", "scheduler", "worker"):
        given |= {f"tls_{role}_cert": cert, f"tls_{role}_key": key}
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=True,
        protocol="tls://",
        security=Security(**given),
        dashboard_address=":0",
    ) as cluster:
        yield cluster.scheduler_address


def test_a_fit_runs_there_with_certificates(tmp_path, address, ours):
    done = in_process(*FIT, "-o", tmp_path / "run", "--scheduler", address, *files(ours))
    assert done.code == 0
    assert f"on 1 worker of {address}" in done.err
    assert address.startswith("tls://")


def test_an_address_without_a_scheme_is_taken_for_tls(tmp_path, address, ours, here):
    there = ("--scheduler", address.removeprefix("tls://"), *files(ours))
    assert here(*FIT, "-o", tmp_path / "run", *there).code == 0


def test_who_has_no_certificate_is_refused_and_told_why(tmp_path, address, here):
    began = time.monotonic()
    done = here(*FIT, "-o", tmp_path / "run", "--scheduler", address)
    assert time.monotonic() - began < scheduler.CONNECT_SECONDS
    assert (done.code, done.out) == (75, "")
    assert "talks to those with a certificate only" in done.err
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
    (["--tls-ca=nope.pem", "--tls-cert=CERT"], "nope.pem for TLS does not exist"),
    (["--tls-ca=CA"], "that of the client was not"),
    (["--tls-key=KEY"], "that of the authority was not"),
    (["--tls-ca=CA", "--tls-cert=KEY"], "can't be used"),
    (["--tls-ca=CA", "--tls-cert=CERT", "--tls-key=KEY", "--scheduler=tcp://h:1"], "none for it"),
]


@pytest.mark.parametrize(("arguments", "cause"), WRONG, ids=[case[1] for case in WRONG])
def test_wrong_files_are_wrong_usage(tmp_path, ours, here, arguments, cause):
    for name in ("ca", "cert", "key"):
        arguments = [word.replace(name.upper(), str(ours / f"{name}.pem")) for word in arguments]
    scheduler_given = any(word.startswith("--scheduler") for word in arguments)
    there = arguments if scheduler_given else [*arguments, "--scheduler=tls://127.0.0.1:1"]
    done = here(*FIT, "-o", tmp_path / "run", *there)
    assert (done.code, done.out) == (2, "")
    assert cause in done.err


def test_certificates_without_a_scheduler_are_wrong_usage(tmp_path, ours, here):
    done = here(*FIT, "-o", tmp_path / "run", *files(ours))
    assert (done.code, "no scheduler" in done.err) == (2, True)
