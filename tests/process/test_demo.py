"""The demo completes a campaign despite faults, and its exit status says whether every promise holds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import inherited

# Generous, because other tests may use the CPU.
PATIENCE_S = 400


@pytest.mark.timeout(PATIENCE_S + 20)
def test_the_demo_keeps_every_promise_and_ignores_the_users_settings(in_memory: Path) -> None:
    # The demo must not use the user's key or database; these would not work.
    env = {
        **inherited(),
        "RETELL_API_KEY": "key_of_the_user",
        "RETELL_BASE_URL": "http://127.0.0.1:1",
        "SUPABASE_DB_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
        "OUTDIAL_HOME": "/nonexistent/outdial",
        "TMPDIR": str(in_memory),
    }
    done = subprocess.run(
        [sys.executable, "-m", "outdial.cli", "demo", "--contacts=100", "--json"],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert {check["promise"]: check["holds"] for check in report["checks"]} == dict.fromkeys(
        (1, 3, 5, 6, 7, 10, 12, 13, 14, 15, 17), True
    )
    numbers = report["numbers"]
    assert numbers["contacts"] > 80
    # The faults were real: events were lost, repeated, and fetched by reconciling.
    for number in ("of these duplicates", "events lost on the way", "events fetched by reconciling"):
        assert numbers[number] > 0, numbers
    # The law was real: contacts waited for their state to open, and others were not called on a holiday or at all.
    assert numbers["contacts that waited for the law"] > 0, numbers
    kept = numbers["contacts that the law kept from calls"]
    for reason in ("in US-AL: a holiday", "in US-LA: a holiday", "in US-WA: such calls are prohibited"):
        assert reason in kept
    # The burnt number rests after three calls, contacts are called back, and budget and forecast are those of the run.
    assert re.search(r"; 3 from \+13125550100, 3 of them blocked, rests until ", numbers["calls by caller number"])
    assert re.fullmatch(r"[1-3] made, the latest \d+\.\d s after the time asked for", numbers["callbacks"]), numbers
    assert re.fullmatch(r"\$30\.00: \$\d+\.\d\d spent, .* left", numbers["budget of the campaign"]), numbers
    messages = re.fullmatch(r"left for (\d+) contacts; (\d+) calls reached a voicemail", numbers["voicemail messages"])
    assert messages is not None, numbers
    assert 0 < int(messages[1]) <= int(messages[2])
    assert re.fullmatch(
        r"[1-3] calls in the morning; 0 calls in the afternoon, [1-3] contacts wait for it", numbers["parts of the day"]
    ), numbers
    forecast = next(value for name, value in numbers.items() if name.startswith("forecast after "))
    assert re.match(r"\d+ to \d+ more calls for ", forecast)
    assert re.match(r"\d+ more calls for ", numbers["what happened then"])
    assert numbers["calls with an ambiguous response"] == numbers["of these resolved"] > 0
