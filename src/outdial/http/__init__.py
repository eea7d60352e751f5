"""HTTP/1.1 for the gateway and for a function served alone: httptools parses, and nothing stands in between."""

from outdial.http.bounds import ServerLimits
from outdial.http.errors import CannotListen, HttpServerError
from outdial.http.listening import adopt, listen, url_of
from outdial.http.message import Application, ErrorResponder, HttpResponse, RequestHead
from outdial.http.server import HttpServer, serving

__all__ = [
    "Application",
    "CannotListen",
    "ErrorResponder",
    "HttpResponse",
    "HttpServer",
    "HttpServerError",
    "RequestHead",
    "ServerLimits",
    "adopt",
    "listen",
    "serving",
    "url_of",
]
