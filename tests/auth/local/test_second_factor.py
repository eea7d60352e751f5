"""Second factors: the vectors of RFC 6238, and the endpoints with which Supabase's clients enrol and verify."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outdial.auth.local.factors import RECOVERY_CODES
from outdial.auth.local.throttle import MOST_FOR_EMAIL
from outdial.auth.local.totp import code_at, enrolment_uri, matching_step, new_secret, step_of
from tests.auth.local.conftest import PASSWORD, World

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("second", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037"),
     (20000000000, "353130")],
)  # fmt: skip
def test_codes_are_those_of_rfc_6238(second: int, code: str) -> None:
    # The last six of the eight digits of its appendix B.
    now = datetime.fromtimestamp(second, UTC)
    assert code_at(RFC_SECRET, step_of(now)) == code
    assert matching_step(RFC_SECRET, code, now + timedelta(seconds=30)) == step_of(now)
    assert matching_step(RFC_SECRET, code, now + timedelta(seconds=60)) is None


def test_a_secret_has_160_bits_and_its_address_names_issuer_and_user() -> None:
    secret = new_secret()
    assert len(base64.b32decode(secret)) == 20
    uri = enrolment_uri(secret, "ada+work@example.com", "Outdial")
    assert uri.startswith("otpauth://totp/Outdial%3Aada%2Bwork%40example.com?")
    assert f"secret={secret}" in uri


async def signed_in(world: World) -> dict[str, Any]:
    response = await world.sign_in()
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


async def give(world: World, token: str, factor: str, code: str) -> Any:
    challenge = (await world.ask("POST", f"/factors/{factor}/challenge", {}, token=token)).json()
    return await world.ask(
        "POST", f"/factors/{factor}/verify", {"challenge_id": challenge["id"], "code": code}, token=token
    )


async def enrolled(world: World) -> tuple[dict[str, Any], str, str, list[str]]:
    """Enrol Ada; return her session, the factor, its secret and the recovery codes."""
    session = await signed_in(world)
    body = {"factor_type": "totp", "friendly_name": "phone"}
    made = (await world.ask("POST", "/factors", body, token=session["access_token"])).json()
    factor, secret = made["id"], made["totp"]["secret"]
    code = code_at(secret, step_of(world.clock.now()))
    verified = await give(world, session["access_token"], factor, code)
    assert verified.status_code == 200, verified.text
    return verified.json(), factor, secret, verified.json()["recovery_codes"]


async def test_an_enrolment_counts_once_a_code_was_verified_and_ends_other_sessions(world: World) -> None:
    other = await signed_in(world)
    session, factor, _, codes = await enrolled(world)
    assert len(set(codes)) == RECOVERY_CODES
    claims = (await world.verifier.verify(session["access_token"])).claims  # type: ignore[union-attr]
    assert (claims["aal"], [entry["method"] for entry in claims["amr"]]) == ("aal2", ["password", "totp"])
    assert (await world.ask("GET", "/user", token=other["access_token"])).status_code == 403
    again = await signed_in(world)
    assert [(one["id"], one["status"]) for one in again["user"]["factors"]] == [(factor, "verified")]
    refreshed = (await world.refresh(session["refresh_token"])).json()
    claims = (await world.verifier.verify(refreshed["access_token"])).claims  # type: ignore[union-attr]
    assert claims["aal"] == "aal2", "a renewed session keeps its level"


async def test_a_long_name_of_a_factor_is_returned_as_it_is_stored(world: World) -> None:
    token = (await signed_in(world))["access_token"]
    body = {"factor_type": "totp", "friendly_name": "p" * 101}
    made = (await world.ask("POST", "/factors", body, token=token)).json()
    stored = (await world.ask("GET", "/user", token=token)).json()["factors"]
    assert [made["friendly_name"]] == [factor["friendly_name"] for factor in stored] == ["p" * 100]


async def test_refresh_tokens_from_before_the_code_give_no_session_with_it(world: World) -> None:
    before = await signed_in(world)
    used, copied = before["refresh_token"], (await world.refresh(before["refresh_token"])).json()["refresh_token"]
    made = (await world.ask("POST", "/factors", {"factor_type": "totp"}, token=before["access_token"])).json()
    code = code_at(made["totp"]["secret"], step_of(world.clock.now()))
    raised = (await give(world, before["access_token"], made["id"], code)).json()
    for token in (used, copied):
        refused = await world.refresh(token)
        assert (refused.status_code, refused.json()["code"]) == (400, "refresh_token_not_found")
    assert (await world.refresh(raised["refresh_token"])).status_code == 200


async def test_a_code_works_once_and_so_does_a_recovery_code(world: World) -> None:
    _, factor, secret, codes = await enrolled(world)
    token = (await signed_in(world))["access_token"]
    now = code_at(secret, step_of(world.clock.now()))
    assert (await give(world, token, factor, now)).status_code == 422, "it was given to enrol"
    world.clock.advance(timedelta(seconds=30))
    later = code_at(secret, step_of(world.clock.now()))
    assert [(await give(world, token, factor, later)).status_code for _ in range(2)] == [200, 422]
    given = [(await give(world, token, factor, codes[3].lower().replace("-", " "))) for _ in range(2)]
    assert [response.status_code for response in given] == [200, 422]
    assert given[0].json()["recovery_codes"] == []


async def test_guesses_are_limited_like_passwords(world: World) -> None:
    _, factor, secret, _ = await enrolled(world)
    token = (await signed_in(world))["access_token"]
    world.clock.advance(timedelta(seconds=30))
    for _ in range(MOST_FOR_EMAIL):
        assert (await give(world, token, factor, "000000")).status_code == 422
    right = await give(world, token, factor, code_at(secret, step_of(world.clock.now())))
    assert (right.status_code, "retry-after" in right.headers) == (429, True)


async def test_a_password_alone_neither_removes_the_factor_nor_changes_the_password(world: World) -> None:
    session, factor, _, _ = await enrolled(world)
    alone = (await signed_in(world))["access_token"]
    assert (await world.ask("DELETE", f"/factors/{factor}", token=alone)).status_code == 401
    assert (await world.ask("PUT", "/user", {"password": f"{PASSWORD}!"}, token=alone)).status_code == 401
    assert (await world.ask("POST", "/factors", {"factor_type": "totp"}, token=alone)).status_code == 422
    assert (await world.ask("PUT", "/user", {"data": {"name": "Eve"}}, token=alone)).status_code == 401
    for scope in ("others", "global"):
        refused = await world.ask("POST", f"/logout?scope={scope}", {}, token=alone)
        assert (refused.status_code, refused.json()["code"]) == (401, "insufficient_aal")
    assert (await world.ask("GET", "/user", token=session["access_token"])).status_code == 200
    assert (await world.ask("POST", "/logout?scope=local", {}, token=alone)).status_code == 204
    removed = await world.ask("DELETE", f"/factors/{factor}", token=session["access_token"])
    assert removed.status_code == 200
    assert "factors" not in (await signed_in(world))["user"]


async def test_neither_secrets_nor_recovery_codes_of_another_user_are_reached(world: World) -> None:
    _, factor, secret, codes = await enrolled(world)
    await world.auth.create_user("eve@example.com", PASSWORD)
    body = {"email": "eve@example.com", "password": PASSWORD}
    eve = (await world.ask("POST", "/token?grant_type=password", body)).json()["access_token"]
    code = code_at(secret, step_of(world.clock.now()) + 1)
    for tried in (code, codes[0]):
        assert (await world.ask("POST", f"/factors/{factor}/challenge", {}, token=eve)).status_code == 404
        sent = {"challenge_id": factor, "code": tried}
        assert (await world.ask("POST", f"/factors/{factor}/verify", sent, token=eve)).status_code == 404
