"""The simulator's controls under /_sim: ledger, state, faults, scripts, magic numbers, reset."""

import asyncio
import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from outdial.retell.simulator.clock import from_epoch_ms
from outdial.retell.simulator.endpoints.exchange import BadBody, check_numbers
from outdial.retell.simulator.faults import Fault
from outdial.retell.simulator.ledger import LedgerResult
from outdial.retell.simulator.recording import recording_of
from outdial.retell.simulator.runtime import Simulator
from outdial.retell.simulator.script import EVENTS, MAGIC, ScriptStep

MAX_ENTRIES: Final = 10_000
MAX_CONTROL_BYTES: Final = 4 * 1024 * 1024


class _Faults(Struct, forbid_unknown_fields=True):
    faults: list[Fault]


class _Script(Struct, forbid_unknown_fields=True):
    to_number: str
    steps: Annotated[list[ScriptStep | str], Meta(max_length=100)]


class _SpamNumbers(Struct, forbid_unknown_fields=True):
    numbers: Annotated[list[str], Meta(max_length=10_000)]


class _Reset(Struct, forbid_unknown_fields=True):
    seed: int | None = None


class _LedgerQuery(Struct, forbid_unknown_fields=True):
    after: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_ENTRIES)] = 1000
    result: LedgerResult | None = None


class SimulatorControls:
    """Handlers for one simulator. Invalid requests get a 400 with the reason."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[Route]:
        """Return the routes, relative to /_sim."""
        return [
            Route("/ledger", self.ledger),
            Route("/state", self.state),
            Route("/faults", self.show_faults, methods=["GET"]),
            Route("/faults", self.set_faults, methods=["POST"]),
            Route("/costs", self.costs),
            Route("/script", self.script, methods=["POST"]),
            Route("/spam", self.show_spam, methods=["GET"]),
            Route("/spam", self.set_spam, methods=["POST"]),
            Route("/reset", self.reset, methods=["POST"]),
            Route("/magic", self.magic),
            Route("/recordings/{call_id}.wav", self.recording),
            Route("/logs/{call_id}.txt", self.log),
        ]

    async def ledger(self, request: Request) -> Response:
        """Return at most `limit` entries numbered above `after`, optionally of one `result`, and totals."""
        try:
            query = msgspec.convert(dict(request.query_params), _LedgerQuery, strict=False)
        except msgspec.ValidationError as error:
            return _invalid(error)
        ledger = self._simulator.workspace.ledger
        entries = ledger.read(query.after, query.limit, query.result)
        return _json(
            {
                "entries": entries,
                "next_after": entries[-1].number if entries else query.after,
                "written": ledger.written,
                "forgotten": ledger.forgotten,
                "totals": ledger.totals(),
            }
        )

    async def state(self, request: Request) -> Response:
        """Return the simulated time, counts and peaks."""
        simulator = self._simulator
        delivery = {**simulator.deliverer.counts, "waiting": simulator.deliverer.waiting}
        return _json(
            {
                "now": simulator.clock.now(),
                "speed": simulator.config.speed,
                **simulator.workspace.state(),
                "delivery": delivery,
            }
        )

    async def show_faults(self, request: Request) -> Response:
        """Return the active faults and how often each occurred."""
        return _json({"faults": self._simulator.workspace.faults.report()})

    async def set_faults(self, request: Request) -> Response:
        """Replace all active faults."""
        try:
            command = msgspec.json.decode(await _body(request), type=_Faults)
            self._simulator.workspace.faults.replace(command.faults)
        except ValueError as error:
            return _invalid(error)
        return await self.show_faults(request)

    async def costs(self, request: Request) -> Response:
        """Return what each call costs, and when the caller was first sent that and first accepted it."""
        workspace = self._simulator.workspace
        return _json({"costs": [workspace.bills.bill_of(call) for call in workspace.calls.values()]})

    async def script(self, request: Request) -> Response:
        """Set the outcomes of the next calls to one number."""
        try:
            command = msgspec.json.decode(await _body(request), type=_Script)
            steps = [ScriptStep(step) if isinstance(step, str) else step for step in command.steps]
            self._simulator.workspace.script(command.to_number, steps)
        except ValueError as error:
            return _invalid(error)
        return _json({"to_number": command.to_number, "steps": steps})

    async def show_spam(self, request: Request) -> Response:
        """Return the caller numbers that networks have marked as spam."""
        return _json({"numbers": sorted(self._simulator.workspace.spam_numbers)})

    async def set_spam(self, request: Request) -> Response:
        """Replace the caller numbers that networks have marked as spam."""
        try:
            command = msgspec.json.decode(await _body(request), type=_SpamNumbers)
            check_numbers(*command.numbers)
        except (ValueError, BadBody) as error:
            return _invalid(error)
        self._simulator.workspace.spam_numbers = frozenset(command.numbers)
        return await self.show_spam(request)

    async def reset(self, request: Request) -> Response:
        """Delete all calls, faults and scripts, and the ledger."""
        try:
            command = msgspec.json.decode(await _body(request) or b"{}", type=_Reset)
        except ValueError as error:
            return _invalid(error)
        self._simulator.reset(command.seed)
        return _json({"seed": self._simulator.workspace.seed})

    async def magic(self, request: Request) -> Response:
        """Return the table of magic numbers."""
        rows = [
            {
                "digits": digits,
                "does": magic.does,
                "steps": [structs.asdict(step) for step in magic.steps],
                "refuses": magic.refuses,
                "strikes": magic.strikes,
                "withholds": [event for event in EVENTS if event in magic.habit.withheld],
            }
            for digits, magic in MAGIC.items()
        ]
        return _json({"magic": rows})

    async def recording(self, request: Request) -> Response:
        """Return the recording of an answered call that has ended, as a short WAV file. Browsers load it, so no key."""
        call = self._simulator.workspace.calls.get(request.path_params["call_id"])
        if call is None or call.start_ms is None or call.end_ms is None:
            return _json({"status": "error", "message": "There is no such recording."}, 404)
        content = await asyncio.to_thread(recording_of, call.call_id, call.end_ms - call.start_ms)
        return partial_response(content, request.headers.get("range", ""))

    async def log(self, request: Request) -> Response:
        """Return the public log of a call that has ended, as text."""
        call = self._simulator.workspace.calls.get(request.path_params["call_id"])
        if call is None or call.end_ms is None:
            return _json({"status": "error", "message": "There is no such log."}, 404)
        steps = [(call.created_ms, "registered"), (call.start_ms, "connected"), (call.end_ms, f"ended: {call.reason}")]
        lines = [f"{from_epoch_ms(at_ms).isoformat()} {text}" for at_ms, text in steps if at_ms is not None]
        return Response("\n".join([*lines, ""]), media_type="text/plain")


def partial_response(content: bytes, wanted: str) -> Response:
    """Return a recording, or the bytes of a Range header. Browsers jump only in recordings that are sent in parts."""
    headers = {"accept-ranges": "bytes"}
    match = re.fullmatch(r"bytes=(\d{1,12})-(\d{0,12})", wanted)
    if match is None:
        return Response(content, media_type="audio/wav", headers=headers)
    first = int(match[1])
    last = min(int(match[2] or len(content)), len(content) - 1)
    if first > last:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(content)}"})
    headers["content-range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(content[first : last + 1], 206, headers, "audio/wav")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_CONTROL_BYTES:
            raise ValueError("the request is too large")
    return bytes(body)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _invalid(error: Exception) -> Response:
    return _json({"status": "error", "message": str(error)}, 400)
