"""Encrypted connections to a scheduler."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daskgmm.errors import ClusterError, ConfigurationError


@dataclass(frozen=True)
class Tls:
    """Files of certificates and keys, in PEM.

    Parameters
    ----------
    ca : str or None
        Of the authority that signed the scheduler's certificate.
    cert : str or None
        This client's certificate.
    key : str or None
        Its key, where it is not in the certificate's file.

    Raises
    ------
    ConfigurationError
        Some are missing.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if not self:
            return
        for name, path in (("authority", self.ca), ("client", self.cert), ("key", self.key)):
            if path is None and name != "key":
                raise ConfigurationError(
                    f"Certificates were given, and that of the {name} was not.",
                    "Give both: --tls-ca and --tls-cert.",
                )
            if path is not None and not os.access(path, os.R_OK):
                there = "can't be read" if os.path.exists(path) else "does not exist"  # noqa: PTH110  nor may exists() raise
                raise ConfigurationError(
                    f"The file {path} for TLS {there}.", "Check its path and permissions."
                )

    def __bool__(self) -> bool:
        return (self.ca, self.cert, self.key) != (None, None, None)

    def security(self) -> Any:
        """What Dask's client takes; without any file, what Dask's own configuration says.

        Raises
        ------
        ConfigurationError
            A file makes no sense.
        """
        from distributed.security import Security

        given = {}
        if self:
            given = {
                "tls_ca_file": self.ca,
                "tls_client_cert": self.cert,
                "tls_client_key": self.key or self.cert,
                "require_encryption": True,
            }
        security = Security(**given)
        try:
            security.get_connection_args("client")
        except OSError as error:  # those of SSL are among them
            raise ConfigurationError(
                f"The certificates for TLS can't be used: {error}.",
                "Check that the files are PEM, and that the key is the certificate's.",
            ) from error
        return security


def check_encryption(address: str, encryption: Mapping[str, Any]) -> None:
    """Refuse an address that does not go with a client's certificates, or their lack.

    Raises
    ------
    ClusterError
        The scheduler talks to holders of certificates only.
    ConfigurationError
        It can't be talked to encrypted, as was asked.
    """
    encrypted = address.startswith("tls://")
    if encrypted and encryption["ssl_context"] is None:
        raise ClusterError(
            f"The scheduler {address} talks to those with a certificate only, and none was given.",
            "Give --tls-ca, --tls-cert and --tls-key, or set them in Dask's configuration.",
        )
    if not encrypted and encryption["require_encryption"]:
        raise ConfigurationError(
            f"Encryption is asked for, and the scheduler's address {address} is none for it.",
            "Give an address such as tls://host:8786, or leave the certificates out.",
        )
