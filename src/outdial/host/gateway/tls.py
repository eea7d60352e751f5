"""TLS of our own, and the rules for TLS that a proxy terminates."""

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

# Host and port of an authority (RFC 3986, 3.2.2) that is safe to use in a Location header.
_AUTHORITY: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class TlsCertificate:
    """Files of a certificate chain and its private key, both PEM."""

    chain: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return the SSL context for a listener, with TLS 1.2 or later. Raises BadConfig for invalid files."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            # With an encrypted key, OpenSSL would prompt on the terminal.
            context.load_cert_chain(self.chain, self.key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise BadConfig(f"the certificate {self.chain} with the key {self.key} cannot be used: {reason}") from None
        return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; pass one without a passphrase")


def certificate_of(chain: Path | None, key: Path | None) -> TlsCertificate | None:
    """Return the certificate of two options, None if neither is set. Raises BadConfig for only one of them."""
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise BadConfig("a certificate needs its key and a key needs its certificate: pass both --cert and --key")
    return TlsCertificate(chain, key)


def open_listener(host: str, port: int, *, tls: bool = False, behind_proxy: bool = False) -> socket.socket:
    """Open a listener; port 0 picks a free port.

    Raises BadConfig if secrets would travel over a network unencrypted, CannotListen if the address is in use.
    """
    if not (tls or behind_proxy or is_loopback(host)):
        raise BadConfig(
            f"{host or 'every address'} is open to the network without TLS: pass --cert and --key, "
            "or --behind-proxy if a proxy terminates TLS"
        )
    return listen(host, port)


def plain_http_response(head: RequestHead) -> HttpResponse | ErrorResponse | None:
    """Return the response to a request that reached the proxy over plain HTTP (`x-forwarded-proto`), None for HTTPS.

    Redirects GET and HEAD to https. Rejects other methods: after a redirect the client would repeat a body that was
    already readable.
    """
    protocol = first_value(head.headers, b"x-forwarded-proto").lower()
    if not protocol or protocol == "https":
        return None
    authority = first_value(head.headers, b"x-forwarded-host") or first_value(head.headers, b"host")
    target = f"{head.path}?{head.query}" if head.query else head.path
    if head.method not in ("GET", "HEAD") or not _AUTHORITY.fullmatch(authority) or _CONTROL.search(target):
        return HTTPS_REQUIRED
    return HttpResponse(308, [(b"location", f"https://{authority}{target}".encode("latin-1"))])


def first_value(headers: Headers, name: bytes) -> str:
    """Return the first value that a chain of proxies has set: the one of the client's own connection."""
    return header_value(headers, name).partition(",")[0].strip()
