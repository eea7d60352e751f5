"""Authentication of Retell's webhooks."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime

from outdial.provider import AuthenticatedEvent, WebhookKeySource
from outdial.retell import signature
from outdial.retell.events import parse_event


class RetellWebhooks:
    """Verifies webhooks with the keys of each credential; implements `WebhookAuthenticator`.

    A credential may have several keys while one is being rotated. With `accept_plain`, a webhook may carry the key
    itself in place of a signature, as in the original system: for local stacks only. `stored` has further keys, for
    other credentials. `repr` shows no key.
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
        self._own = {credential for credential, _ in pairs}
        self._accept_plain = accept_plain
        self._stored = stored

    def authenticate(self, body: bytes, signature_header: str | None, now: datetime) -> AuthenticatedEvent | None:
        """Return the event in `body`, or None if no key of ours signed it. Never raises."""
        pairs = self._pairs
        if self._stored is not None:
            pairs = pairs + [pair for pair in self._stored.webhook_keys(now) if pair[0] not in self._own]
        index = signature.verify(body, signature_header, [key for _, key in pairs], round(now.timestamp() * 1000))
        if index is not None:
            return AuthenticatedEvent(pairs[index][0], parse_event(body))
        if not self._accept_plain:
            return None
        given = (signature_header or "").encode()
        matching = [credential for credential, key in self._pairs if hmac.compare_digest(given, key.encode())]
        return AuthenticatedEvent(matching[0], parse_event(body, legacy=True)) if matching else None
