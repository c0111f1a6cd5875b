"""Make an authority and certificates for a cluster that talks by TLS only.

Start: python deploy/tls/make_certificates.py DIR --host scheduler.example.org
(it needs `pip install cryptography`). DIR then holds ca.pem and ca-key.pem, and for scheduler,
worker and client each ROLE.pem and ROLE-key.pem. Hand out ca.pem, and to each machine its role's
two files; keep ca-key.pem to yourself. The same line with --force renews the three certificates,
by the same authority and for the same keys; whoever runs goes on with the old until started anew.
"""

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
ROLES = {
    # Schedulers and workers call each other, clients are never called.
    "scheduler": (SERVER, CLIENT),
    "worker": (SERVER, CLIENT),
    "client": (CLIENT,),
}
SIGNING, TALKING = ("key_cert_sign", "crl_sign"), ("digital_signature",)
USAGES = (
    *SIGNING,
    *TALKING,
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "encipher_only",
    "decipher_only",
)
AUTHORITY_DAYS = 3650
SLACK = timedelta(minutes=5)  # clocks differ


@dataclass(frozen=True)
class Authority:
    """Who signs: a certificate, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, key: ec.EllipticCurvePrivateKey, now: datetime) -> Self:
        """One that signs itself."""
        name = named("daskgmm authority")
        until = now + timedelta(days=AUTHORITY_DAYS)
        builder = unsigned(name, name, key.public_key(), now, until, ca=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def in_folder(cls, folder: Path, now: datetime) -> Self:
        """The one that is there, or else a new one."""
        path = folder / "ca.pem"
        key = key_in(folder / "ca-key.pem", new=not path.exists())
        if not path.exists():
            made = cls.new(key, now)
            write(path, pem(made.certificate))
            return made
        found = x509.load_pem_x509_certificate(path.read_bytes())
        if found.public_key() != key.public_key():
            raise click.ClickException(f"ca-key.pem is not the key of {path}.")
        if found.not_valid_after_utc <= now:
            raise click.ClickException(
                f"The authority in {path} expired on {found.not_valid_after_utc:%Y-%m-%d}. "
                "Make a new one in another folder, and hand it out."
            )
        return cls(found, key)

    def certify(
        self,
        role: str,
        key: ec.EllipticCurvePrivateKey,
        hosts: Iterable[str],
        days: int,
        now: datetime,
    ) -> x509.Certificate:
        """A certificate for a role, no longer than the authority's own."""
        until = min(now + timedelta(days=days), self.certificate.not_valid_after_utc)
        subject, issuer = named(f"daskgmm {role}"), self.certificate.subject
        builder = unsigned(subject, issuer, key.public_key(), now, until, ca=False)
        for extension in (
            x509.ExtendedKeyUsage(ROLES[role]),
            x509.SubjectAlternativeName(map(alternative, hosts)),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
        ):
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    until: datetime,
    *,
    ca: bool,
) -> x509.CertificateBuilder:
    """What certificates say of anyone, and whether the key signs others' or talks."""
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, subject, key, serial, now - SLACK, until)
    usage = dict.fromkeys(USAGES, False) | dict.fromkeys(SIGNING if ca else TALKING, True)
    length = 0 if ca else None
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=length), critical=True)
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    return builder.add_extension(identifier, critical=False)


def named(text: str) -> x509.Name:
    """A name for people to read: Dask looks at the signature only."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def alternative(host: str) -> x509.GeneralName:
    """A host's name or address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def pem(certificate: x509.Certificate) -> bytes:
    """The text of a file."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_in(path: Path, *, new: bool = True) -> ec.EllipticCurvePrivateKey:
    """The key that is there, or else, where that is right, a new one."""
    if path.exists():
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return found
        raise click.ClickException(f"{path} holds no key of an elliptic curve.")
    if not new:
        raise click.ClickException(f"{path} is missing, and nothing can be signed without it.")
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    write(path, key.private_bytes(*form, serialization.NoEncryption()), mode=0o600)
    return key


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put a file there, whole, and never for more eyes than it is meant for."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    part.replace(path)


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--host", "hosts", multiple=True, help="A name or address of a machine; any number of them."
)
@click.option("--days", type=click.IntRange(min=1), default=365, show_default=True)
@click.option("--force", is_flag=True, help="Renew certificates that are there.")
def main(folder: Path, hosts: tuple[str, ...], days: int, force: bool) -> None:
    """Make an authority, if DIR has none, and certificates of scheduler, worker and client."""
    there = [role for role in ROLES if (folder / f"{role}.pem").exists()]
    if there and not force:
        raise click.ClickException(
            f"{folder} has certificates already, of {', '.join(there)}. Renew them with --force."
        )
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    authority = Authority.in_folder(folder, now)
    for role in ROLES:
        key = key_in(folder / f"{role}-key.pem")
        names = ("localhost", "127.0.0.1", *hosts)
        made = authority.certify(role, key, dict.fromkeys(names), days, now)
        write(folder / f"{role}.pem", pem(made))
        click.echo(f"{role}.pem holds until {made.not_valid_after_utc:%Y-%m-%d}")


if __name__ == "__main__":
    main()
