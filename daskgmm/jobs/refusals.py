"""Why a scheduler and this client did not come to talk by TLS."""

import ssl
from collections.abc import Iterator
from typing import Any

_EXPIRED, _NOT_YET = 10, 9  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED and _NOT_YET_VALID
_FLIGHTS = 4  # more than a handshake takes

_NO_TLS = "talks without TLS (tcp://), and TLS was asked for"
_SPOKE_FIRST = "cannot convert to SSL"
"""Tornado's words for a connection on which the other side spoke before TLS could begin."""


def refusal(error: BaseException, security: Any) -> str | None:
    """What went wrong between two that should talk by TLS; None where that is not the reason.

    Parameters
    ----------
    error : BaseException
        That of connecting.
    security : distributed.Security
        With the client's certificates, if it has any.
    """
    from distributed.comm import CommClosedError

    links = list(_links(error))
    failed = next((link for link in links if isinstance(link, ssl.SSLError)), None)
    if isinstance(failed, ssl.SSLCertVerificationError):
        return f"was not reached by TLS: its certificate {_fault(failed)}"
    if _SPOKE_FIRST in str(error):
        return _NO_TLS
    if failed is None and not isinstance(error, CommClosedError):
        return None
    if fault := _own_fault(security):
        return f"refuses this client, whose certificate {fault}"
    if failed is not None and failed.reason == "WRONG_VERSION_NUMBER":
        return _NO_TLS
    if failed is not None and failed.reason:
        return f"was not reached by TLS: {failed.reason}"
    return "closed the connection: it may want TLS (tls://) or another authority's certificate"


def _links(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _fault(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == _EXPIRED:
        return "has expired"
    if error.verify_code == _NOT_YET:
        return "is not valid yet"
    return f"was not signed by the authority that was given ({error.verify_message})"


def _own_fault(security: Any) -> str | None:
    """What is wrong with the client's certificate, for whom its own authority is the judge.

    A scheduler closes the connection without saying, so the handshake is rehearsed: in memory,
    with ourselves.
    """
    caller, called = (
        arguments("client")["ssl_context"]
        for arguments in (security.get_connection_args, security.get_listen_args)
    )
    if caller is None:
        return None
    caller.verify_mode = ssl.CERT_NONE  # it need not do for a server
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
