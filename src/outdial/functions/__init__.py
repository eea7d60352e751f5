"""The public API for authors of functions."""

from outdial.functions.context import Context
from outdial.functions.endpoint import Endpoint, with_supabase
from outdial.functions.errors import HttpError
from outdial.functions.request import Request
from outdial.functions.response import Response
from outdial.functions.runtime import Env, Runtime

__all__ = ["Context", "Endpoint", "Env", "HttpError", "Request", "Response", "Runtime", "with_supabase"]
