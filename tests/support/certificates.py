"""The certificates of deploy/tls, as the script there makes them, and Dask's configuration."""

import sys
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import copytree

from tests.support.command import Ended, in_process
from tests.support.paths import DEPLOY

SCRIPT = DEPLOY / "tls" / "make_certificates.py"


def make(folder: Path, *options: object) -> Ended:
    """Run the script."""
    return in_process(folder, *options, command=(sys.executable, SCRIPT))


def made(folder: Path) -> Path:
    """A folder with certificates."""
    assert make(folder).code == 0
    return folder


def expired(folder: Path, good: Path) -> Path:
    """The same with certificates that ended two days ago."""
    script = module()
    copytree(good, folder)
    then = datetime.now(UTC) - timedelta(days=3)
    authority = script.Authority.in_folder(folder, then)
    for role in script.ROLES:
        key = script.key_in(folder / f"{role}-key.pem")
        script.write(folder / f"{role}.pem", script.pem(authority.certify(role, key, [], 1, then)))
    return folder


def module():
    """The script as a module."""
    spec = spec_from_file_location("make_certificates", SCRIPT)
    found = module_from_spec(spec)
    sys.modules[spec.name] = found  # where dataclasses look it up
    spec.loader.exec_module(found)
    return found


def configured(folder: Path, certificates: Path) -> dict[str, str]:
    """What has a process talk by TLS only, by the configuration file of deploy/tls."""
    text = (DEPLOY / "tls" / "dask.yaml").read_text(encoding="utf-8")
    file = folder / f"{certificates.name}.yaml"
    file.write_text(text.replace("/etc/dask/tls", str(certificates)), encoding="utf-8")
    return {"DASK_CONFIG": str(file)}


def files(certificates: Path, role: str = "client", ca: Path | None = None) -> list[str]:
    """The options that name them."""
    return [
        f"--tls-ca={(ca or certificates) / 'ca.pem'}",
        f"--tls-cert={certificates / role}.pem",
        f"--tls-key={certificates / role}-key.pem",
    ]
