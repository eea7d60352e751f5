"""Webhooks of many accounts: each belongs to the account whose key signed it, and costs few comparisons."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from outdial.retell import signature, webhooks
from outdial.retell.webhooks import RetellWebhooks
from tests.support.dialing import epoch_ms
from tests.support.factories import NOW


class ManyKeys:
    """The stored keys of a thousand accounts."""

    def __init__(self) -> None:
        self.pairs = [(f"org_{number}", f"key_of_{number}") for number in range(1000)]

    def webhook_keys(self, now: datetime) -> Sequence[tuple[str, str]]:
        return self.pairs

    is_up_to_date = True

    async def keep_fresh(self) -> None:
        raise NotImplementedError

    async def reload_for_unknown(self) -> bool:
        raise NotImplementedError


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that a body was hashed with."""
    keys: list[str] = []
    digest = signature._digest

    def counted(message: bytes, key: str) -> str:
        keys.append(key)
        return digest(message, key)

    monkeypatch.setattr(signature, "_digest", counted)
    return keys


def body_of(agent: str, call: str = "call_1") -> bytes:
    return b'{"event":"call_started","call":{"call_id":"%s","agent_id":"%s"}}' % (call.encode(), agent.encode())


def signer(authenticator: RetellWebhooks, body: bytes, key: str) -> str | None:
    """Return the credential that an event signed with `key` counts for."""
    event = authenticator.authenticate(body, signature.sign(body, key, epoch_ms(NOW)), NOW)
    return None if event is None else event.credential


def test_among_a_thousand_keys_the_one_of_the_agents_last_event_is_tried_first(hashed: list[str]) -> None:
    authenticator = RetellWebhooks({}, stored=ManyKeys())
    assert signer(authenticator, body_of("agent_a"), "key_of_900") == "org_900"
    hashed.clear()
    assert signer(authenticator, body_of("agent_a", "call_2"), "key_of_900") == "org_900"
    assert hashed == ["key_of_900"] * 2, "once to sign it, once to verify it"

    # Another account names the agent in its own event.
    assert signer(authenticator, body_of("agent_a"), "key_of_5") == "org_5"
    assert signer(authenticator, body_of("agent_a"), "key_of_900") == "org_900"


def test_the_key_of_an_agent_counts_no_longer_than_it_is_stored() -> None:
    keys = ManyKeys()
    authenticator = RetellWebhooks({"default": ["key_on_server"]}, stored=keys)
    assert signer(authenticator, body_of("agent_a"), "key_of_900") == "org_900"
    keys.pairs = keys.pairs[:900]
    assert signer(authenticator, body_of("agent_a"), "key_of_900") is None
    assert signer(authenticator, body_of("agent_a"), "key_on_server") == "default"


def test_a_large_body_of_an_unknown_agent_is_hashed_with_few_keys(
    hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MOST_HASHED", 10_000)
    authenticator, padded = RetellWebhooks({}, stored=ManyKeys()), body_of("agent_a") + b" " * 1000
    assert authenticator.authenticate(padded, f"v={epoch_ms(NOW)},d={'0' * 64}", NOW) is None
    assert 0 < len(hashed) < 10

    assert signer(authenticator, padded, "key_of_900") is None
    monkeypatch.setattr(webhooks, "MOST_HASHED", 1_000_000)
    assert signer(authenticator, body_of("agent_a"), "key_of_900") == "org_900"
    monkeypatch.setattr(webhooks, "MOST_HASHED", 10_000)
    assert signer(authenticator, padded, "key_of_900") == "org_900"
