"""The examples of docs/pre-dial-hook.md accept what Outdial signs, and nothing else."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outdial.pre_dial.messages import CallToClear, ClearanceRequest, encode_request, read_response
from outdial.pre_dial.signature import TOLERANCE_S, sign, verify
from tests.support.hooks import SECRET

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pre-dial-hook.md").read_text()
BODY = '{"calls":[{"phone":"+14155550101","note":"☎ ü"}]}'.encode()


def example(language: str) -> str:
    [code] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


def cases(now_s: int) -> list[tuple[bytes, str, str, bool]]:
    """Return bodies with their headers and secrets, and whether they are authentic."""
    header = sign(BODY, SECRET, now_s)
    return [
        (BODY, header, SECRET, True),
        (BODY, sign(BODY, SECRET, now_s - TOLERANCE_S + 30), SECRET, True),
        (BODY, sign(BODY, SECRET, now_s - TOLERANCE_S - 30), SECRET, False),
        (BODY, sign(BODY, SECRET, now_s + TOLERANCE_S + 30), SECRET, False),
        (BODY + b" ", header, SECRET, False),
        (BODY, header, SECRET + "x", False),
        (BODY, header.replace("t=", "t=1"), SECRET, False),
        (BODY, header.upper(), SECRET, False),
        (BODY, "", SECRET, False),
        (BODY, f"{header}\n", SECRET, False),
        (BODY, f"{header},v1={'0' * 64}", SECRET, False),
    ]


def test_our_own_verification() -> None:
    now_s = int(time.time())
    for body, header, secret, is_authentic in cases(now_s):
        assert verify(body, header, secret, now_s) is is_authentic, header


def test_the_example_in_python() -> None:
    namespace: dict[str, Any] = {}
    exec(example("python"), namespace)
    is_from_outdial: Callable[[bytes, str, str], bool] = namespace["is_from_outdial"]
    for body, header, secret, is_authentic in cases(int(time.time())):
        assert is_from_outdial(body, header, secret) is is_authentic, header


@pytest.mark.skipif(
    not shutil.which("node") or not (ROOT / "node_modules" / "typescript").exists(), reason="Node or tsc is missing"
)
def test_the_example_in_typescript(tmp_path: Path) -> None:
    (tmp_path / "example.mts").write_text(example("ts"))
    (tmp_path / "cases.json").write_text(
        json.dumps([[body.decode(), header, secret] for body, header, secret, _ in cases(int(time.time()))])
    )
    (tmp_path / "run.mjs").write_text(
        "import { readFileSync } from 'node:fs';\n"
        "import { isFromOutdial } from './example.mjs';\n"
        "const cases = JSON.parse(readFileSync(new URL('./cases.json', import.meta.url)));\n"
        "const found = [];\n"
        "for (const [body, header, secret] of cases)\n"
        "  found.push(await isFromOutdial(new TextEncoder().encode(body), header, secret));\n"
        "console.log(JSON.stringify(found));\n"
    )
    compiler = ROOT / "node_modules" / "typescript" / "bin" / "tsc"
    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"]
    compiled = subprocess.run(
        ["node", compiler, *options, "example.mts"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert compiled.returncode == 0, compiled.stdout
    ran = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [is_authentic for *_, is_authentic in cases(int(time.time()))]


def test_the_documented_request_and_response_fit_each_other() -> None:
    request, response = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    calls = [CallToClear(call["call_id"], call["phone"]) for call in request["calls"]]
    clearances = read_response(json.dumps(response).encode(), calls)
    assert [clearances[call.call_id].allow for call in calls] == [True, False]
    encoded = encode_request(
        ClearanceRequest(
            organization_id=request["organization_id"],
            campaign_id=request["campaign_id"],
            purpose=request["purpose"],
            calls=calls,
            sent_at=request["sent_at"],
        )
    )
    assert json.loads(encoded) == request
