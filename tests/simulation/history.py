"""The witness of a simulated run: looks at every create-call request as it leaves, and at the whole when it is over."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from outdial.db.queries import evidence
from outdial.db.queries.evidence import AccountLimits
from outdial.dialer.callbacks.planning import NOT_CLAIMED
from outdial.domain.outcomes import RetryClass
from outdial.domain.policies.day_parts import LONGEST_PART_WAIT
from outdial.promises.called_back import check_callbacks
from outdial.promises.checks import DAY_MS, ProviderCall, RunEvidence, peak_in_window, wish_of
from outdial.promises.law import written_law
from outdial.promises.promise import Promise
from outdial.retell.dispositions import outcome_of
from outdial.retell.simulator import SimulatedWorkspace
from outdial.retell.simulator.objects import describe
from tests.simulation.own_phones import OwnPhones

PART_HOURS = {"morning": range(12), "afternoon": range(12, 17), "evening": range(17, 24)}
CHARGED = {RetryClass.DONE, RetryClass.RETRY, RetryClass.FINAL, RetryClass.DO_NOT_CALL}


@dataclass(slots=True)
class History:
    """Collects what breaks a promise, in words, each with the number of the promise."""

    observer: asyncpg.Connection
    broken: list[str] = field(default_factory=list)
    outstanding: Counter[str] = field(default_factory=Counter)
    requested: dict[tuple[str, str], list[datetime]] = field(default_factory=dict)
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    own_phones: OwnPhones | None = None
    callbacks: str = ""

    def note(self, promise: Promise, what: str) -> None:
        """Note that a promise is broken."""
        self.broken.append(f"promise {promise}, {promise.short}: {what}")

    async def on_create(self, body: bytes, now: datetime) -> str:
        """Check a create-call request at the moment it leaves; return its key."""
        request = msgspec.json.decode(body)
        key = request["idempotency_key"]
        if self.own_phones is not None and "test_call_id" in request["metadata"]:
            await self._on_test_call(self.own_phones, request)
        else:
            await self._on_call(request, str(key), now)
        return str(key)

    async def _on_call(self, request: Mapping[str, Any], key: str, now: datetime) -> None:
        self.outstanding[key] += 1
        if self.outstanding[key] > 1:
            self.note(Promise.ONE_REQUEST, f"two requests of call {key} are under way at once")
        if request["metadata"]["call_id"] != key:
            self.note(Promise.ONE_REQUEST, f"the key {key} is not the call id {request['metadata']['call_id']}")
        async with self.one_at_a_time:
            row = await self.observer.fetchrow(_AT_REQUEST, key, now - timedelta(hours=24), now)
            off = await self.observer.fetch("select distinct rule_id from rule_switches where is_off")
        if row is None:
            self.note(Promise.ONE_REQUEST, f"a request left for {key}, which has no committed row")
            return
        if row["call_status"] not in ("placing", "unknown"):
            self.note(Promise.ONE_REQUEST, f"a request left for call {key}, which is {row['call_status']}")
        if row["campaign_status"] in ("paused", "cancelled", "completed", "draft", "scheduled"):
            self.note(Promise.NO_CALL_WHILE_PAUSED, f"a request left for a campaign that is {row['campaign_status']}")
        if row["blocked"]:
            self.note(
                Promise.HOURS_AND_CAPS, f"{request['to_number']} was on the do-not-call list before it was claimed"
            )
        if row["calls_of_the_day"] > row["daily_call_cap"]:
            self.note(Promise.HOURS_AND_CAPS, f"call {row['calls_of_the_day']} in 24 hours to {request['to_number']}")
        if row["from_burnt"]:
            self.note(
                Promise.BLOCKED_NUMBERS,
                f"a call was claimed from {row['from_number']} after three blocked calls in a row",
            )
        # The second try of a callback passes the limit, and a contact has two callbacks.
        most = row["max_attempts"] + 2 * (request["retell_llm_dynamic_variables"].get("is_callback") == "true")
        if row["attempts"] >= most:
            self.note(
                Promise.HOURS_AND_CAPS,
                f"attempt {row['attempts'] + 1} of {row['max_attempts']} to {request['to_number']}",
            )
        self._check_hours(row["zone_key"], now)
        self._check_part(request, row, now)
        self._check_law(row, frozenset(switch["rule_id"] for switch in off), now)

    async def _on_test_call(self, own_phones: OwnPhones, request: Mapping[str, Any]) -> None:
        async with self.one_at_a_time:
            problems = await own_phones.on_create(request)
        for problem in problems:
            self.note(Promise.ONE_REQUEST, problem)

    def on_answer(self, key: str) -> None:
        """Note that a request has come home, one way or another."""
        self.outstanding[key] -= 1

    def _check_hours(self, zone_key: str, now: datetime) -> None:
        for zone in zone_key.split("|"):
            local = now.astimezone(ZoneInfo(zone))
            if not 9 <= local.hour < 20 or local.weekday() >= 5:
                self.note(Promise.HOURS_AND_CAPS, f"a request left at {local:%A %H:%M:%S} in {zone}")

    def _check_part(self, request: Mapping[str, Any], row: Mapping[str, Any], now: datetime) -> None:
        """Check that the call was claimed in the part of the day of its attempt, unless its contact has waited long.

        Callbacks are made at any time. The office hours and the laws of these places leave something of each part open
        on every weekday, except in Maine, where such calls end at 17:00.
        """
        earlier = self.requested.setdefault((request["metadata"]["campaign_id"], request["to_number"]), [])
        claimed_at, parts, attempts = row["claimed_at"], row["day_parts"], row["attempts_before"]
        waits_since = max((sent_at for sent_at in earlier if sent_at < claimed_at), default=row["entered_at"])
        earlier.append(now)
        is_callback = request["retell_llm_dynamic_variables"]["is_callback"] == "true"
        if not parts or is_callback or row["jurisdiction_key"] == "US-ME":
            return
        part, zone_key = parts[attempts % len(parts)], row["zone_key"]
        hours = {claimed_at.astimezone(ZoneInfo(zone)).hour for zone in zone_key.split("|")}
        if claimed_at - waits_since <= LONGEST_PART_WAIT and not hours <= set(PART_HOURS[part]):
            self.note(
                Promise.DAY_PARTS,
                f"attempt {attempts + 1} is for the {part}, claimed at {claimed_at:%a %H:%M} in {zone_key}",
            )

    def _check_law(self, row: Mapping[str, Any], switched_off: frozenset[str], now: datetime) -> None:
        zones = row["zone_key"].split("|")
        law = written_law().in_place(row["jurisdiction_key"].split("|"), row["purpose"]).without(switched_off)
        for breach in law.breaches(now, zones):
            self.note(Promise.LAW, f"a request left against the law: {breach}")
        for rule in law.in_force(now, zones):
            if (cap := rule.get("cap")) is not None:
                unit = {"h": timedelta(hours=1), "d": timedelta(days=1)}[cap["period"][-1]]
                since = now - int(cap["period"][:-1]) * unit
                calls = sum(called_at > since for called_at in row["called_at"])
                if calls > cap["count"]:
                    self.note(Promise.LAW, f"call {calls} in {cap['period']} under {rule['id']}")

    async def at_rest(self) -> None:
        """Check what must hold between any two steps."""
        for row in await self.observer.fetch(_FALSELY_COMPLETED):
            self.note(Promise.COMPLETED, f"campaign {row['id']} is {row['status']} with {row['open']} open contacts")

    async def at_the_end(self, workspaces: Mapping[str, SimulatedWorkspace]) -> None:
        """Check the whole run against the simulators' ledgers, after every loose end was given time to be tied up."""
        await self.at_rest()
        for credential, workspace in workspaces.items():
            self._check_ledger(workspace)
            self._check_messages(workspace)
            await self._check_calls(credential, workspace)
        for problem in await self.own_phones.at_the_end(workspaces) if self.own_phones else ():
            self.note(Promise.EVENTS, problem)
        for row in await self.observer.fetch(_OPEN_ENDS):
            self.note(Promise.BAD_ROWS, f"{row['what']} {row['id']} is left {row['status']}: {row['why']}")
        await self._check_attempts()
        await self._check_callbacks(workspaces)

    def _check_ledger(self, workspace: SimulatedWorkspace) -> None:
        accepted = Counter(e.idempotency_key for e in workspace.ledger.read(result="accepted"))
        for key, times in accepted.items():
            if times > 1:
                self.note(Promise.ONE_REQUEST, f"Retell was asked for {times} calls with the key {key}")
        limits = [e for e in workspace.ledger.read(result="refused") if e.reason in ("concurrency", "calls_per_second")]
        if limits:
            self.note(Promise.ACCOUNT_LIMITS, f"{len(limits)} requests went over a limit, first: {limits[0]}")
        if workspace.peak_live > workspace.config.concurrency_limit:
            self.note(Promise.ACCOUNT_LIMITS, f"{workspace.peak_live} calls lived at once")
        for number in workspace.config.spam_numbers:
            made = sorted(call.created_ms for call in workspace.calls.values() if call.request.from_number == number)
            if peak_in_window(made, DAY_MS) > 3:
                self.note(
                    Promise.BLOCKED_NUMBERS, f"{len(made)} calls from {number}, of which networks block each: {made}"
                )
        spans: dict[str, list[tuple[int, int]]] = {}
        for call in workspace.calls.values():
            spans.setdefault(call.request.to_number, []).append((call.created_ms, call.end_ms or 2**62))
        for phone, calls in spans.items():
            calls.sort()
            if any(later[0] < earlier[1] for earlier, later in pairwise(calls)):
                self.note(Promise.ONE_LIVE_CALL, f"two calls to {phone} overlapped: {calls}")

    def _check_messages(self, workspace: SimulatedWorkspace) -> None:
        messages = Counter(
            (call.request.metadata.get("campaign_id"), call.request.to_number)
            for call in workspace.calls.values()
            if call.voicemail_message is not None
        )
        for (campaign_id, phone), left in messages.items():
            if left > 1:
                self.note(
                    Promise.VOICEMAIL, f"{left} voicemail messages were left for {phone} in campaign {campaign_id}"
                )

    async def _check_calls(self, credential: str, workspace: SimulatedWorkspace) -> None:
        rows = {r["retell_call_id"]: r for r in await self.observer.fetch(_CALLS, credential)}
        for call_id, call in workspace.calls.items():
            if "test_call_id" in (call.request.metadata or {}):
                continue
            row: Mapping[str, Any] | None = rows.get(call_id)
            if row is None:
                self.note(
                    Promise.EVENTS, f"Retell made {call_id} for {call.request.idempotency_key}, and no row knows it"
                )
            elif row["status"] != "ended" or row["disconnection_reason"] != call.reason or not row["analyzed"]:
                self.note(Promise.EVENTS, f"{call_id} ended with {call.reason} at Retell, here it is {dict(row)}")
        for call_id in rows.keys() - workspace.calls.keys():
            self.note(Promise.EVENTS, f"{call_id} is in the database and not at Retell")

    async def _check_attempts(self) -> None:
        charged: Counter[Any] = Counter()
        free: Counter[Any] = Counter()
        for row in await self.observer.fetch(
            "select c.campaign_contact_id, c.disconnection_reason, c.analysis::text as analysis from calls c"
            " join campaign_contacts cc on cc.id = c.campaign_contact_id where c.attempt_number > cc.earlier_calls"
        ):
            if row["disconnection_reason"] is not None:
                counts = outcome_of(row["disconnection_reason"]).retry_class in CHARGED
                charged[row["campaign_contact_id"]] += counts
                # A call in which the contact asked for a callback is free, unless its analysis came too late.
                free[row["campaign_contact_id"]] += counts and wish_of(row["analysis"]) is not None
        for row in await self.observer.fetch("select id, attempts, status from campaign_contacts"):
            most, least = charged[row["id"]], charged[row["id"]] - free[row["id"]]
            if not least <= row["attempts"] <= most:
                self.note(
                    Promise.FREE_FAULTS,
                    f"contact {row['id']} ({row['status']}) has {row['attempts']}, not {least} to {most}",
                )

    async def _check_callbacks(self, workspaces: Mapping[str, SimulatedWorkspace]) -> None:
        described = [(describe(call), call) for workspace in workspaces.values() for call in workspace.calls.values()]
        run = RunEvidence(
            requests=[],
            provider_calls=[
                ProviderCall(
                    call_id=call.call_id,
                    from_number=call.request.from_number,
                    to_number=call.request.to_number,
                    created_ms=call.created_ms,
                    ended_ms=call.end_ms,
                    disconnection_reason=call.reason,
                    transcript=None,
                    analysis=msgspec.json.encode(there.call_analysis).decode(),
                    is_callback=(there.retell_llm_dynamic_variables or {}).get("is_callback") == "true",
                )
                for there, call in described
            ],
            calls=await evidence.all_calls(self.observer),
            contacts=await evidence.all_campaign_contacts(self.observer),
            campaigns=await evidence.all_campaigns(self.observer),
            limits=AccountLimits(credential="", concurrency_limit=0, calls_per_second=0),
        )
        check = check_callbacks(run)
        self.callbacks = check.examined
        for breach in check.breaches:
            self.note(Promise.CALLBACKS, breach)
        paused = {
            row["subject_id"]
            for row in await self.observer.fetch("select subject_id from audit_log where action = 'pause_campaign'")
        }
        for call in run.calls:
            if call.callback_late == NOT_CLAIMED and str(call.campaign_id) not in paused:
                self.note(Promise.CALLBACKS, f"callback {call.id} was late, and nothing held it back")


_AT_REQUEST = """
select c.status as call_status, m.status as campaign_status, m.max_attempts, m.purpose, cc.attempts, cc.zone_key,
  cc.jurisdiction_key, cc.created_at as entered_at, m.day_parts,
  (c.decision ->> 'attempts')::integer as attempts_before, c.created_at as claimed_at,
  array(select x.requested_at from calls x where x.organization_id = c.organization_id and x.phone = c.phone
    and x.requested_at <= $3 and x.status not in ('refused', 'released')) as called_at,
  o.daily_call_cap, c.from_number,
  (select count(*) = 3 and bool_and(x.outcome = 'blocked' and x.updated_at <= d.decided_at) from (
    select y.outcome, y.updated_at from calls y where y.organization_id = c.organization_id
      and y.from_number = c.from_number and y.outcome is not null
      and y.requested_at > d.decided_at - interval '24 hours'
      and y.outcome not in ('provider_fault', 'no_capacity', 'account_fault', 'unknown', 'stopped')
    order by y.requested_at desc limit 3
  ) x) as from_burnt,
  exists (select from do_not_call d where d.organization_id = c.organization_id and d.phone = c.phone
    and d.created_at < c.created_at) as blocked,
  (select count(*) from calls x where x.organization_id = c.organization_id and x.phone = c.phone
    and x.requested_at > $2 and x.requested_at <= $3 and x.status not in ('refused', 'released')) as calls_of_the_day
from calls c
join campaigns m on m.id = c.campaign_id
join campaign_contacts cc on cc.id = c.campaign_contact_id
join organizations o on o.id = c.organization_id
cross join lateral (select case when c.requests = 1 then c.created_at
  -- A repeated request starts within half a minute of the decision to repeat it.
  else greatest(c.created_at, c.requested_at - interval '30 seconds') end as decided_at) d
where c.id = $1::text::uuid
"""
_FALSELY_COMPLETED = """
select m.id, m.status, count(*) as open
from campaigns m join campaign_contacts cc on cc.campaign_id = m.id
where m.status in ('completed', 'cancelled') and cc.status in ('pending', 'calling')
group by m.id, m.status
"""
_CALLS = """
select c.retell_call_id, c.status, c.disconnection_reason, c.analysis is not null as analyzed, c.error
from calls c join provider_accounts a on a.id = c.provider_account_id
where c.retell_call_id is not null and a.credential = $1
"""
_OPEN_ENDS = """
select 'campaign' as what, id, status, coalesce(waiting_for, '') as why from campaigns
where status not in ('completed', 'cancelled')
union all
select 'call', id, status, coalesce(error, '') from calls where status not in ('ended', 'refused', 'released')
union all
select 'contact', id, status, coalesce(status_reason, '') from campaign_contacts where status in ('pending', 'calling')
"""
