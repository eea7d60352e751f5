"""HTTP/1.1 server of the gateway and of a function served alone: drives httptools (llhttp) without ASGI in between."""

from outdial.http.errors import CannotListen, HttpServerError
from outdial.http.limits import ServerLimits
from outdial.http.listening import adopt, listen, url_of
from outdial.http.message import Application, ErrorResponder, HeaderPairs, HttpResponse, RequestHead, header_pairs
from outdial.http.server import HttpServer, serving

__all__ = [
    "Application",
    "CannotListen",
    "ErrorResponder",
    "HeaderPairs",
    "HttpResponse",
    "HttpServer",
    "HttpServerError",
    "RequestHead",
    "ServerLimits",
    "adopt",
    "header_pairs",
    "listen",
    "serving",
    "url_of",
]
