"""How the wire is kept private: by TLS of our own, or by that of a proxy in front."""

import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outdial.host.wire.errors import BadConfig
from outdial.host.wire.headers import Headers, header_value
from outdial.host.wire.responses import HTTPS_REQUIRED, ErrorResponse
from outdial.http import HttpResponse, RequestHead
from outdial.http.listening import listen
from outdial.net import is_loopback

# The host and port of an authority (RFC 3986, 3.2.2): what may stand in a Location that others will follow.
_AUTHORITY: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class TlsCertificate:
    """The files of a certificate chain and of its private key, both PEM."""

    chain: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return what a listener needs; raise BadConfig when the files cannot be used. TLS 1.2 is the least."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            # An encrypted key would ask at the terminal, which nobody watches.
            context.load_cert_chain(self.chain, self.key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise BadConfig(f"the certificate {self.chain} with the key {self.key} cannot be used: {reason}") from None
        return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; give it without a passphrase")


def certificate_of(chain: Path | None, key: Path | None) -> TlsCertificate | None:
    """Return the certificate that the two options name, None when neither is given; raise BadConfig for one alone."""
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise BadConfig("a certificate needs its key and a key its certificate: give --cert and --key together")
    return TlsCertificate(chain, key)


def open_listener(host: str, port: int, *, tls: bool = False, behind_proxy: bool = False) -> socket.socket:
    """Return a listener at the address; port 0 takes a free one.

    Raises BadConfig when keys would come over a network in the clear, CannotListen when the address is taken.
    """
    if not (tls or behind_proxy or is_loopback(host)):
        raise BadConfig(
            f"{host or 'every address'} is open to the network without TLS: give --cert and --key, "
            "or --behind-proxy when a proxy ends TLS in front"
        )
    return listen(host, port)


def plain_http_answer(head: RequestHead) -> HttpResponse | ErrorResponse | None:
    """Return what a request gets whose proxy was asked over plain HTTP (`x-forwarded-proto`); None when it was not.

    GET and HEAD are sent to https. All others are refused: they would come again after what they carry was read.
    """
    protocol = _first(head.headers, b"x-forwarded-proto").lower()
    if not protocol or protocol == "https":
        return None
    authority = _first(head.headers, b"x-forwarded-host") or _first(head.headers, b"host")
    target = f"{head.path}?{head.query}" if head.query else head.path
    if head.method not in ("GET", "HEAD") or not _AUTHORITY.fullmatch(authority) or _CONTROL.search(target):
        return HTTPS_REQUIRED
    return HttpResponse(308, [(b"location", f"https://{authority}{target}".encode("latin-1"))])


def _first(headers: Headers, name: bytes) -> str:
    """Return the first of the values that a chain of proxies has set: the one of the client's own connection."""
    return header_value(headers, name).partition(",")[0].strip()
