"""The client that authors call their functions with in tests."""

from pathlib import Path
from textwrap import dedent

import pytest

from outdial.functions.errors import FunctionNotLoaded
from outdial.functions.testing import FunctionClient
from outdial.settings import MissingSetting

SOURCE = """
    from shared.words import WORD
    from outdial.functions import Context, Request, Response, Runtime, with_supabase
    from outdial.settings import require

    async def start(runtime: Runtime) -> None:
        require(runtime.env, "GREETING", "what to say")

    @with_supabase(auth=["user", "secret"], methods=["POST", "GET"], max_body=30)
    async def fetch(request: Request, ctx: Context) -> Response:
        body = await request.json() if request.method == "POST" else request.query
        return Response.json({"said": ctx.env["GREETING"] + WORD, "path": request.path, "body": body})
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for path, text in {"hello/index.py": SOURCE, "shared/words.py": "WORD = '!'"}.items():
        file = tmp_path / "functions" / path
        file.parent.mkdir(parents=True)
        file.write_text(dedent(text))
    return tmp_path


@pytest.fixture
def hello(directory: Path) -> FunctionClient:
    return FunctionClient("hello", directory, {"GREETING": "hi"})


def test_a_function_is_called_with_its_settings_hooks_and_shared_modules(hello: FunctionClient) -> None:
    response = hello.request({"name": "Ada"})

    assert response.status == 200
    assert response.json() == {"said": "hi!", "path": "/hello", "body": {"name": "Ada"}}
    assert response.headers["content-type"] == "application/json"
    read = hello.request(method="GET", path="/below?a=1")
    assert read.json() == {"said": "hi!", "path": "/hello/below", "body": {"a": "1"}}


def test_callers_and_bodies_are_checked_as_on_a_host(hello: FunctionClient) -> None:
    assert hello.request({}, headers={}).json()["code"] == "MISSING_CREDENTIALS"
    assert hello.request({}, headers={"apikey": "sb_secret_other"}).json()["code"] == "INVALID_API_KEY"
    assert (hello.request({"name": "A" * 40}).status, hello.request({}, method="PUT").status) == (413, 405)
    assert hello.request(method="OPTIONS", headers={"Access-Control-Request-Headers": "x-a"}).status == 204


def test_what_keeps_a_function_from_starting_is_raised(directory: Path) -> None:
    with pytest.raises(MissingSetting, match="GREETING is not set: what to say"):
        FunctionClient("hello", directory).request({})
    with pytest.raises(FunctionNotLoaded, match="No such file"):
        FunctionClient("moon", directory).request({})
