"""Authentication of Retell's webhooks."""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from outdial.provider import AuthenticatedEvent, WebhookKeySource
from outdial.retell import signature
from outdial.retell.events import parse_event

MOST_AGENTS: Final = 10_000
"""How many agents are remembered with the key that has signed their last event."""
MOST_HASHED: Final = 256 * 1024 * 1024
"""How many bytes are hashed at most to verify one body, some tenths of a second: anyone can send a large one. A body of
256 kB is tried with a thousand keys. A larger one may be rejected until a smaller one makes its agent known."""
_AGENT: Final = re.compile(rb'"agent_id"\s*:\s*"([\w-]{1,100})"')
_AGENT_WITHIN: Final = 64 * 1024


class RetellWebhooks:
    """Verifies webhooks with the keys of each credential; implements `WebhookAuthenticator`.

    A credential may have several keys while one is being rotated. With `accept_plain`, a webhook may carry the key
    itself in place of a signature, as in the original system: for local stacks only. `stored` has further keys, for
    other credentials, and on a local stack for all. `repr` shows no key.

    The key that has signed the last event of an agent is tried first, so that an event costs one HMAC however many keys
    there are. The agent of a body that is not verified yet decides about this order only.
    """

    def __init__(
        self,
        keys: Mapping[str, Sequence[str]],
        *,
        accept_plain: bool = False,
        stored: WebhookKeySource | None = None,
    ) -> None:
        pairs = [(credential, key) for credential, of_credential in keys.items() for key in of_credential if key]
        if not pairs and stored is None:
            raise ValueError("no webhook key is configured")
        self._pairs = pairs
        # The secret of a local stack is public: it does not stand for a key that wins over a stored one.
        self._own = set() if accept_plain else {credential for credential, _ in pairs}
        self._accept_plain = accept_plain
        self._stored = stored
        self._key_of_agent: dict[bytes, str] = {}

    def authenticate(self, body: bytes, signature_header: str | None, now: datetime) -> AuthenticatedEvent | None:
        """Return the event in `body`, or None if no key of ours signed it. Never raises."""
        pairs = self._pairs
        if self._stored is not None:
            pairs = pairs + [pair for pair in self._stored.webhook_keys(now) if pair[0] not in self._own]
        credential = self._verify(body, signature_header, pairs, now)
        if credential is not None:
            return AuthenticatedEvent(credential, parse_event(body))
        if not self._accept_plain:
            return None
        given = (signature_header or "").encode()
        matching = [credential for credential, key in self._pairs if hmac.compare_digest(given, key.encode())]
        return AuthenticatedEvent(matching[0], parse_event(body, legacy=True)) if matching else None

    def _verify(
        self, body: bytes, signature_header: str | None, pairs: Sequence[tuple[str, str]], now: datetime
    ) -> str | None:
        """Return the first credential with the key that signed `body`."""
        # Reversed, so that of several credentials with one key the first counts.
        credential_of = {key: credential for credential, key in reversed(pairs)}
        found = _AGENT.search(body, 0, _AGENT_WITHIN)
        agent = found[1] if found is not None else b""
        keys, last = list(dict.fromkeys(key for _, key in pairs)), self._key_of_agent.get(agent)
        if last is not None and last in credential_of:
            keys.insert(0, last)
        most = max(1, MOST_HASHED // (len(body) + 1))
        index = signature.verify(body, signature_header, keys[:most], round(now.timestamp() * 1000))
        if index is None:
            return None
        if agent and keys[index] != last:
            if len(self._key_of_agent) >= MOST_AGENTS:
                self._key_of_agent.clear()
            self._key_of_agent[agent] = keys[index]
        return credential_of[keys[index]]
