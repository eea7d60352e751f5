"""retell-webhook: receives Retell's signed events. A response of 200 means that the event is on disk."""

from shared.error_codes import UNAUTHORIZED

from outdial.functions import Context, HttpError, Request, Response, Runtime, with_supabase
from outdial.inbox.errors import EventNotStored
from outdial.inbox.receive import RejectedEvent, WebhookReceiver
from outdial.provider_keys.cache import KeyCache, KeyReader
from outdial.provider_keys.sealing import KeySealer
from outdial.retell.events import RetellEventReader
from outdial.retell.webhooks import RetellWebhooks
from outdial.settings import (
    DialerSettings,
    SettingError,
    credentials,
    encryption_secrets,
    flag,
    require,
    retry_speed,
    secret_list,
)

receiver: WebhookReceiver


async def start(runtime: Runtime) -> None:
    """Build the receiver. A missing secret or database stops the start with an error that names it."""
    global receiver
    secrets = credentials(runtime.env, "RETELL_WEBHOOK_SECRET")
    sealer = KeySealer.of(encryption_secrets(runtime.env))
    if not secrets and sealer is None:
        require(
            runtime.env,
            "RETELL_WEBHOOK_SECRET",
            "the Retell API key with the webhook badge; it signs the events. Keys that are entered in the studio need"
            " RETELL_ENCRYPTION_KEY instead",
        )
    require(runtime.env, "SUPABASE_URL", "the address of the project or of the local stack")
    keys = {credential: secret_list(raw) for credential, raw in secrets.items()}
    if empty := [credential for credential, listed in keys.items() if not listed]:
        raise SettingError(f"RETELL_WEBHOOK_SECRET contains no secret for the credentials {', '.join(empty)}")
    accept_plain = flag(runtime.env, "RETELL_WEBHOOK_ACCEPT_PLAIN_SECRET", default=False)
    database = await runtime.database("webhook")
    stored = None if sealer is None else KeyCache(database, sealer, runtime.clock, reader=KeyReader.WEBHOOKS)
    if stored is not None:
        # Reports a wrong RETELL_ENCRYPTION_KEY before the first event comes.
        await stored.keep_fresh()
    receiver = WebhookReceiver(
        database,
        RetellWebhooks(keys, accept_plain=accept_plain, stored=stored),
        RetellEventReader(),
        runtime.clock,
        check_after=DialerSettings.from_env(runtime.env).reconcile_after,
        retry_speed=retry_speed(runtime.env),
        keys=stored,
    )


async def stop() -> None:
    """Wait until every accepted event is on disk."""
    await receiver.stop()


@with_supabase(auth="none", methods=["POST"], max_body=8 * 1024 * 1024)
async def fetch(request: Request, ctx: Context) -> Response:
    """Store and apply one event."""
    try:
        stored = await receiver.receive(await request.body(), request.headers.get("x-retell-signature"))
    except EventNotStored as error:
        raise HttpError(503, "EVENT_NOT_STORED", str(error)) from error
    if isinstance(stored, RejectedEvent):
        raise HttpError(401, UNAUTHORIZED, "The signature is missing, too old, or not made with one of our keys")
    return Response.json({"success": True, "event": stored.event or None})
