"""The webhook in the usual style of FastAPI and SQLAlchemy: one transaction per event, uvicorn with one worker."""

import hashlib
import hmac
import logging
import os
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from sqlalchemy import MetaData, Table, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

KEY = os.environ["RETELL_WEBHOOK_SECRET"].encode()
TOLERANCE_MS = 300_000
SIGNATURE = re.compile(r"v=([0-9]{1,16}),d=([0-9a-f]{64})")

PROGRESS = {"placing": 0, "unknown": 0, "placed": 1, "ongoing": 2, "ended": 3}
REACHED = {"call_started": "ongoing", "call_ended": "ended", "call_analyzed": "ended"}
OUTCOMES = {
    "user_hangup": ("answered", "completed"),
    "agent_hangup": ("answered", "completed"),
    "inactivity": ("answered", "completed"),
    "max_duration_reached": ("answered", "completed"),
    "voicemail_reached": ("voicemail", "retry"),
    "dial_no_answer": ("no_answer", "retry"),
    "dial_busy": ("busy", "retry"),
    "invalid_destination": ("invalid_number", "failed"),
}
RETRY_AFTER = {"voicemail": timedelta(hours=4), "no_answer": timedelta(minutes=30), "busy": timedelta(minutes=10)}

WHERE = {"host": os.environ["PGHOST"], "port": os.environ["PGPORT"], "database": os.environ["PGDATABASE"]}
engine = create_async_engine(
    "postgresql+asyncpg://outdial_webhook@/",
    connect_args=WHERE,
    pool_size=int(os.environ.get("POOL_SIZE", "10")),
    max_overflow=0,
)
metadata = MetaData()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Reflect the tables, and close the pool at the end."""
    names = ["webhook_events", "calls", "campaign_contacts", "campaigns"]
    async with engine.connect() as connection:
        await connection.run_sync(lambda sync: metadata.reflect(sync, only=names, resolve_fks=False))
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


def is_signed(body: bytes, header: str) -> bool:
    """Return whether our key signed `body` within five minutes of now."""
    match = SIGNATURE.fullmatch(header)
    if match is None or abs(datetime.now(UTC).timestamp() * 1000 - int(match[1])) > TOLERANCE_MS:
        return False
    digest = hmac.new(KEY, body + str(int(match[1])).encode(), "sha256").hexdigest()
    return hmac.compare_digest(digest, match[2])


@app.post("/")
async def webhook(request: Request) -> dict[str, Any]:
    """Store one event and apply it."""
    body = await request.body()
    if not is_signed(body, request.headers.get("x-retell-signature", "")):
        raise HTTPException(401, "Invalid signature")
    payload = await request.json()
    async with engine.begin() as connection:
        await handle(connection, payload["event"], payload["call"], body)
    return {"success": True, "event": payload["event"]}


async def handle(connection: AsyncConnection, event: str, call: Mapping[str, Any], body: bytes) -> None:
    """Insert the ledger row and, if it is new, update the call, its contact and its campaign."""
    now = datetime.now(UTC)
    row = await _lock(connection, call)
    ledger = metadata.tables["webhook_events"]
    stored = await connection.execute(
        insert(ledger)
        .values(
            source="webhook",
            credential="default",
            retell_call_id=call["call_id"],
            event=event,
            body=body,
            body_sha256=hashlib.sha256(body).digest(),
            status="unmatched" if row is None else "applied",
            received_at=now,
            applied_at=None if row is None else now,
            next_try_at=now,
            organization_id=None if row is None else row["organization_id"],
            call_id=None if row is None else row["id"],
        )
        .on_conflict_do_nothing()
        .returning(ledger.c.id)
    )
    if stored.first() is not None and row is not None and event in REACHED:
        await _apply(connection, row, event, call, now)


async def _lock(connection: AsyncConnection, call: Mapping[str, Any]) -> Mapping[str, Any] | None:
    calls, contacts, campaigns = _tables("calls", "campaign_contacts", "campaigns")
    own_id = (call.get("metadata") or {}).get("call_id")
    found = await connection.execute(
        select(
            *(calls.c.id, calls.c.organization_id, calls.c.status, calls.c.outcome, calls.c.campaign_id),
            *(calls.c.campaign_contact_id, contacts.c.status.label("contact_status"), contacts.c.attempts),
            campaigns.c.max_attempts,
        )
        .join(contacts, contacts.c.id == calls.c.campaign_contact_id)
        .join(campaigns, campaigns.c.id == calls.c.campaign_id)
        .where(
            or_(
                calls.c.retell_call_id == call["call_id"],
                and_(calls.c.retell_call_id.is_(None), calls.c.id == (UUID(own_id) if own_id else None)),
            )
        )
        .with_for_update(of=[calls, contacts])
    )
    row = found.mappings().first()
    return None if row is None else dict(row)


async def _apply(
    connection: AsyncConnection, row: Mapping[str, Any], event: str, call: Mapping[str, Any], now: datetime
) -> None:
    calls, contacts, campaigns = _tables("calls", "campaign_contacts", "campaigns")
    target = REACHED[event]
    status = target if PROGRESS[target] > PROGRESS.get(row["status"], 3) else row["status"]
    outcome, contact = OUTCOMES.get(call.get("disconnection_reason", ""), (None, None))
    said = {
        "outcome": outcome if row["outcome"] is None else None,
        "disconnection_reason": call.get("disconnection_reason"),
        "started_at": _moment(call.get("start_timestamp")),
        "ended_at": _moment(call.get("end_timestamp")),
        "duration_ms": call.get("duration_ms"),
        "cost_cents": (call.get("call_cost") or {}).get("combined_cost"),
        "transcript": call.get("transcript"),
        "recording_url": call.get("recording_url"),
        "public_log_url": call.get("public_log_url"),
        "analysis": call.get("call_analysis"),
    }
    done = status == "ended" and said["analysis"] is not None
    await connection.execute(
        update(calls)
        .where(calls.c.id == row["id"])
        .values(
            status=status,
            retell_call_id=func.coalesce(calls.c.retell_call_id, call["call_id"]),
            **{name: value for name, value in said.items() if value is not None},
            next_check_at=None if done else now + timedelta(seconds=60),
            checks=0,
            placed_at=func.coalesce(calls.c.placed_at, now),
            updated_at=now,
        )
    )
    if outcome is None or contact is None or row["outcome"] is not None:
        return
    attempts = row["attempts"] + 1
    again = contact == "retry" and attempts < row["max_attempts"]
    values: dict[str, Any] = {"next_attempt_at": now + RETRY_AFTER[outcome]} if again else {}
    final = "failed" if contact == "retry" else contact
    await connection.execute(
        update(contacts)
        .where(contacts.c.id == row["campaign_contact_id"])
        .values(
            status="pending" if again else final,
            attempts=attempts,
            faults=0,
            last_outcome=outcome,
            updated_at=now,
            **values,
        )
    )
    await connection.execute(
        update(campaigns)
        .where(campaigns.c.id == row["campaign_id"], campaigns.c.next_batch_at > now)
        .where(campaigns.c.status.in_(["active", "pausing", "cancelling"]))
        .values(next_batch_at=now)
    )


def _tables(*names: str) -> list[Table]:
    return [metadata.tables[name] for name in names]


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def main() -> None:
    """Serve on a free port, after printing the URL."""
    logging.basicConfig(level=logging.WARNING)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
