"""TLS connections to a scheduler: certificates, and reasons for which a connection fails."""

import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daskgmm.errors import ClusterError, ConfigurationError


@dataclass(frozen=True)
class Tls:
    """Files of certificates and keys, in PEM.

    Parameters
    ----------
    ca : str or None
        Certificate of the authority that signed the scheduler's certificate.
    cert : str or None
        Certificate of this client.
    key : str or None
        Key of this client, if it is not in the certificate's file.

    Raises
    ------
    ConfigurationError
        One of the certificates is missing, or a file can't be read.
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
                    f"Files for TLS were given, but not the certificate of the {name}.",
                    "Give both certificates: --tls-ca and --tls-cert.",
                )
            if path is not None and not os.access(path, os.R_OK):
                there = "can't be read" if os.path.exists(path) else "does not exist"  # noqa: PTH110  Path.exists() may raise
                raise ConfigurationError(
                    f"The TLS file {path} {there}.", "Check its path and permissions."
                )

    def __bool__(self) -> bool:
        return (self.ca, self.cert, self.key) != (None, None, None)

    def security(self) -> Any:
        """Security settings for Dask's client; without files, those of Dask's configuration.

        Raises
        ------
        ConfigurationError
            A file is not a valid certificate or key.
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
        except OSError as error:  # the base class of SSL's errors
            raise ConfigurationError(
                f"The certificates for TLS can't be used: {error}.",
                "Check that the files are in PEM format, and that the key belongs to the "
                "certificate.",
            ) from error
        return security


def check_encryption(address: str, encryption: Mapping[str, Any]) -> None:
    """Refuse an encrypted address without certificates, and certificates for one without TLS.

    Parameters
    ----------
    address : str
        Address of the scheduler.
    encryption : mapping
        Connection arguments from the client's security settings.

    Raises
    ------
    ClusterError
        The address asks for TLS, and there are no certificates.
    ConfigurationError
        TLS is required, and the address is not a TLS address.
    """
    encrypted = address.startswith("tls://")
    if encrypted and encryption["ssl_context"] is None:
        raise ClusterError(
            f"The scheduler {address} requires a certificate, but none was given.",
            "Give --tls-ca, --tls-cert and --tls-key, or set them in Dask's configuration.",
        )
    if not encrypted and encryption["require_encryption"]:
        raise ConfigurationError(
            f"TLS was requested, but the scheduler's address {address} is not a TLS address.",
            "Give an address such as tls://host:8786, or leave the certificates out.",
        )


_EXPIRED, _NOT_YET = 10, 9  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED and _NOT_YET_VALID
_FLIGHTS = 4  # rounds of messages; a handshake takes fewer

_NO_TLS = "does not use TLS (tcp://), but TLS was requested"
_SPOKE_FIRST = "cannot convert to SSL"
"""Part of Tornado's error when the other side sends data before the TLS handshake."""


def refusal(error: BaseException, security: Any) -> str | None:
    """Describe how TLS made a connection fail; ``None`` if TLS is not the reason.

    Parameters
    ----------
    error : BaseException
        Error that connecting raised.
    security : distributed.Security
        Security settings, with the client's certificates if it has any.
    """
    from distributed.comm import CommClosedError

    links = list(_links(error))
    failed = next((link for link in links if isinstance(link, ssl.SSLError)), None)
    if isinstance(failed, ssl.SSLCertVerificationError):
        return f"can't be reached by TLS: its certificate {_fault(failed)}"
    if _SPOKE_FIRST in str(error):
        return _NO_TLS
    if failed is None and not isinstance(error, CommClosedError):
        return None
    if fault := _own_fault(security):
        return f"refused this client: the client's certificate {fault}"
    if failed is not None and failed.reason == "WRONG_VERSION_NUMBER":
        return _NO_TLS
    if failed is not None and failed.reason:
        return f"can't be reached by TLS: {failed.reason}"
    return (
        "closed the connection: it may require TLS (tls://), or a certificate of another authority"
    )


def _links(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _fault(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return "has expired"
    if error.verify_code == _NOT_YET:
        return "is not valid yet"
    return f"was not signed by the given authority ({error.verify_message})"


def _own_fault(security: Any) -> str | None:
    """Fault of the client's certificate, judged by the client's own authority.

    A scheduler closes the connection without giving a reason, so the handshake is repeated in
    memory, with this process on both sides.
    """
    caller, called = (
        arguments("client")["ssl_context"]
        for arguments in (security.get_connection_args, security.get_listen_args)
    )
    if caller is None:
        return None
    caller.verify_mode = ssl.CERT_NONE  # a client's certificate need not be valid for a server
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        caller.wrap_bio(back, there),
        called.wrap_bio(there, back, server_side=True),
    )
    for side in sides * _FLIGHTS:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return _fault(error)
    return None
