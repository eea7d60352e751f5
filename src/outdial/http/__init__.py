"""HTTP/1.1 for the gateway and for a function served alone: httptools parses, and nothing stands in between."""

from outdial.http.bounds import Bounds
from outdial.http.errors import CannotListen, HttpServerError
from outdial.http.listening import adopt, listen, url_of
from outdial.http.message import Answer, Application, Errors, Head
from outdial.http.server import Server, serving

__all__ = [
    "Answer", "Application", "Bounds", "CannotListen", "Errors", "Head", "HttpServerError", "Server", "adopt",
    "listen", "serving", "url_of",
]  # fmt: skip
