"""deploy/tls: its script, its configuration file, and a cluster that takes nobody else."""

import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from daskgmm import load
from tests.support.certificates import configured, expired, files, made, make, module
from tests.support.command import COMMAND, here, in_process
from tests.support.paths import IRIS
from tests.support.started import inside, started

__all__ = ["here"]

FIT = ("fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 2, "--seed", 0)
HERE = ("--host", "127.0.0.1", "--port", 0, "--dashboard-address", "127.0.0.1:0")
WORK = ("--host", "127.0.0.1", "--nthreads", 1, "--dashboard-address", "127.0.0.1:0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def ours(folder):
    return made(folder / "ours")


@pytest.fixture(scope="module")
def strangers(folder):
    return made(folder / "strangers")


@pytest.fixture(scope="module")
def late(folder, ours):
    return expired(folder / "late", ours)


@pytest.fixture(scope="module")
def address(folder, ours):
    """Of a scheduler with a worker, each a process that Dask's configuration file makes use TLS."""
    environment = configured(folder, ours)
    with started(["dask", "scheduler", *HERE], environment) as scheduler:
        found = scheduler.until(r"Scheduler at:\s+(tls://\S+)")
        with started(["dask", "worker", found, *WORK], environment):
            scheduler.until("Register worker")
            yield found


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_for_their_owner_only(ours):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in ours.iterdir()}
    keys = {"ca-key.pem", "scheduler-key.pem", "worker-key.pem", "client-key.pem"}
    assert {name for name, mode in modes.items() if mode == 0o600} == keys
    assert set(modes) == keys | {"ca.pem", "scheduler.pem", "worker.pem", "client.pem"}


def test_certificates_hold_for_their_hosts_before_a_strict_judge(folder):
    assert make(folder / "hosts", "--host", "node1", "--host", "10.0.0.7", "--days", 2).code == 0
    judge = PolicyBuilder().store(Store([certificate(folder / "hosts" / "ca.pem")]))
    for role in ("scheduler", "worker"):
        found = certificate(folder / "hosts" / f"{role}.pem")
        for host in ("localhost", "node1"):
            assert judge.build_server_verifier(x509.DNSName(host)).verify(found, [])
        judge.build_client_verifier().verify(found, [])
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(map(str, names.get_values_for_type(x509.IPAddress))) == [
            "127.0.0.1",
            "10.0.0.7",
        ]
        assert found.not_valid_after_utc - datetime.now(UTC) < timedelta(days=2)
    client = certificate(folder / "hosts" / "client.pem")
    assert judge.build_client_verifier().verify(client, [])
    with pytest.raises(x509.verification.VerificationError):
        judge.build_server_verifier(x509.DNSName("localhost")).verify(client, [])


@pytest.mark.slow
def test_nothing_is_overwritten_unless_forced_and_then_authority_and_keys_stay(folder):
    certificates = made(folder / "renewed")
    before = {path.name: path.read_bytes() for path in certificates.iterdir()}
    refused = make(certificates)
    assert (refused.code, "--force" in refused.err) == (1, True)
    assert {path.name: path.read_bytes() for path in certificates.iterdir()} == before
    assert make(certificates, "--force").code == 0
    after = {path.name: path.read_bytes() for path in certificates.iterdir()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"scheduler.pem", "worker.pem", "client.pem"}
    for role in ("scheduler", "worker", "client"):
        certificate(certificates / f"{role}.pem").verify_directly_issued_by(
            certificate(certificates / "ca.pem")
        )


@pytest.mark.slow
def test_an_authority_without_its_key_or_that_has_expired_signs_nothing(folder):
    certificates = made(folder / "lost")
    (certificates / "ca-key.pem").unlink()
    refused = make(certificates, "--force")
    assert (refused.code, "ca-key.pem is missing" in refused.err) == (1, True)
    script = module()
    old = script.Authority.new(
        script.key_in(certificates / "ca-key.pem"), datetime.now(UTC) - timedelta(days=9999)
    )
    script.write(certificates / "ca.pem", script.pem(old.certificate))
    refused = make(certificates, "--force")
    assert (refused.code, "expired on" in refused.err) == (1, True)


@pytest.mark.slow
def test_scheduler_worker_and_fit_work_together(tmp_path, folder, address, ours, here):
    given = in_process(*FIT, "-o", tmp_path / "given", "--scheduler", address, *files(ours))
    assert (given.code, f"on 1 worker of {address}" in given.err) == (0, True)
    environment = inside(configured(folder, ours))
    as_configured = (*FIT, "-o", tmp_path / "configured", "--scheduler", address)
    assert in_process(*as_configured, env=environment, command=COMMAND).code == 0
    assert here(*FIT, "-o", tmp_path / "alone").code == 0
    alone, *others = (
        load(tmp_path / run / "model.safetensors").means_
        for run in ("alone", "given", "configured")
    )
    assert all((means == alone).all() for means in others)


@pytest.mark.slow
def test_a_client_without_a_certificate_is_refused(tmp_path, address, here):
    done = here(*FIT, "-o", tmp_path / "run", "--scheduler", address)
    assert (done.code, done.out) == (75, "")
    assert "requires a certificate, but none was given" in done.err


@pytest.mark.slow
def test_a_plain_client_is_refused(tmp_path, address, here):
    plain = address.replace("tls://", "tcp://")
    done = here(*FIT, "-o", tmp_path / "run", "--scheduler", plain)
    assert (done.code, done.out) == (75, "")
    assert "closed the connection: it may require TLS (tls://)" in done.err


@pytest.mark.slow
def test_a_client_whose_certificate_has_expired_is_told_so(tmp_path, address, late, here):
    done = here(*FIT, "-o", tmp_path / "run", "--scheduler", address, *files(late))
    assert (done.code, done.out) == (75, "")
    assert "refused this client: the client's certificate has expired" in done.err


@pytest.mark.slow
def test_a_client_of_another_authority_is_told_so(tmp_path, address, ours, strangers, here):
    there = ("--scheduler", address, *files(strangers, ca=ours))
    done = here(*FIT, "-o", tmp_path / "run", *there)
    assert (done.code, done.out) == (75, "")
    assert "the client's certificate was not signed by the given authority" in done.err


@pytest.mark.slow
def test_a_scheduler_of_another_authority_is_not_trusted(tmp_path, address, strangers, here):
    done = here(*FIT, "-o", tmp_path / "run", "--scheduler", address, *files(strangers))
    assert (done.code, done.out) == (75, "")
    assert "reached by TLS: its certificate was not signed by the given authority" in done.err


@pytest.mark.slow
def test_a_scheduler_whose_certificate_has_expired_is_not_trusted(
    tmp_path, folder, ours, late, here
):
    with started(["dask", "scheduler", *HERE], configured(folder, late)) as scheduler:
        there = ("--scheduler", scheduler.until(r"Scheduler at:\s+(tls://\S+)"), *files(ours))
        done = here(*FIT, "-o", tmp_path / "run", *there)
    assert (done.code, done.out) == (75, "")
    assert "can't be reached by TLS: its certificate has expired" in done.err


@pytest.mark.slow
def test_a_scheduler_without_tls_is_told_from_one_with(tmp_path, ours, here):
    with started(["dask", "scheduler", *HERE]) as scheduler:
        plain = scheduler.until(r"Scheduler at:\s+(tcp://\S+)")
        encrypted = plain.replace("tcp://", "tls://")
        done = here(*FIT, "-o", tmp_path / "run", "--scheduler", encrypted, *files(ours))
    assert (done.code, done.out) == (75, "")
    assert "does not use TLS" in done.err
