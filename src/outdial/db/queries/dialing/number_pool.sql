-- The numbers that campaigns call from: what decides whether each may take a call, when they rest, how they fare.

-- name: pool_numbers
-- returns: list[PoolNumberRow]
-- row: A caller number of a campaign. `blocked` says of its latest ended calls, newest first, whether they were blocked.
-- row: `ended` counts those of 24 hours where that matters.
-- null: daily_cap, warm_up_from, rests_until
-- Read the numbers of a campaign in their order. Calls from before the end of a number's rest do not count against it,
-- nor do calls that failed for other reasons than the number. Needs lock_account where it decides about calls.
select n.phone, p.daily_cap, coalesce(p.warm_up_days, 0)::integer as warm_up_days, p.warm_up_from, h.rests_until,
  coalesce(live.calls, 0) as live,
  case when p.daily_cap is null and cardinality(:phones::text[]) = 1 then 0 else (
    select count(*) from calls c where c.organization_id = :organization_id and c.from_number = n.phone
      and c.outcome is not null and c.requested_at > :day_ago and c.status not in ('placing', 'placed', 'ongoing', 'unknown')
  ) end as ended,
  array(
    select c.outcome = 'blocked' from calls c
    where c.organization_id = :organization_id and c.from_number = n.phone and c.outcome is not null
      and c.outcome <> all (:not_of_number::text[])
      and c.requested_at > greatest(:measured_from::timestamptz, h.rests_until)
    order by c.requested_at desc limit :recent
  ) as blocked
from unnest(:phones::text[]) with ordinality as n (phone, position)
left join phone_numbers p on p.organization_id = :organization_id and p.phone = n.phone
left join number_health h on h.organization_id = :organization_id and h.phone = n.phone
left join (
  select c.from_number, count(*) as calls from calls c
  where c.provider_account_id = :provider_account_id and c.status in ('placing', 'placed', 'ongoing', 'unknown')
  group by c.from_number
) live on live.from_number = n.phone
order by n.position;

-- name: cap_frees_at
-- returns: datetime | None
-- Return when the newest call starts to be older than 24 hours that keeps a number from its cap of `calls`.
select r.requested_at + interval '24 hours' as frees_at
from (
  select c.requested_at from calls c
  where c.organization_id = :organization_id and c.from_number = :phone and c.outcome is not null
    and c.requested_at > :day_ago
  union all
  select c.requested_at from calls c
  where c.provider_account_id = :provider_account_id and c.from_number = :phone and c.outcome is null
    and c.status in ('placing', 'placed', 'ongoing', 'unknown')
) r
order by r.requested_at desc offset :calls - 1 limit 1;

-- name: start_rests
-- returns: list[str]
-- Let numbers rest until a time, except those that rest already; return those that begin to.
insert into number_health as h (organization_id, phone, rests_until, rest_reason, rests_since)
select :organization_id, u.phone, :until::timestamptz, u.reason, :now::timestamptz
from unnest(:phones::text[], :reasons::text[]) as u (phone, reason)
order by u.phone
on conflict (organization_id, phone) do update
set rests_until = excluded.rests_until, rest_reason = excluded.rest_reason, rests_since = excluded.rests_since
where h.rests_until is null or h.rests_until <= :now
returning phone;

-- name: organizations_to_measure
-- returns: list[UUID]
-- List organizations whose numbers have not been measured since a time.
select organization_id from private.organizations_to_measure(:before, :limit);

-- name: measure_numbers
-- returns: list[MeasuredNumber]
-- row: A number with its ended calls since its last rest, within 7 days.
-- Measure the numbers of an organization: store the figures of 7 days, and return those since the end of the last rest.
with numbers as (
  select p.phone from phone_numbers p where p.organization_id = :organization_id
  union
  select unnest(array_prepend(m.from_number, m.more_numbers)) from campaigns m
  where m.organization_id = :organization_id and m.status in ('active', 'pausing', 'paused')
), measured as (
  select n.phone, count(c.outcome) as calls, count(c.outcome) filter (where a.is_answered) as answered,
    count(c.outcome) filter (where c.outcome = 'voicemail') as voicemail,
    count(c.outcome) filter (where c.outcome = 'blocked') as blocked,
    count(c.outcome) filter (where a.is_judged) as judged_calls,
    count(c.outcome) filter (where a.is_judged and a.is_answered) as judged_answered
  from numbers n
  left join number_health h on h.organization_id = :organization_id and h.phone = n.phone
  left join calls c on c.organization_id = :organization_id and c.from_number = n.phone and c.outcome is not null
    and c.outcome <> all (:not_of_number::text[]) and c.requested_at > :measured_from and c.requested_at <= :now
  cross join lateral (
    select c.outcome = any (:answered::text[]) as is_answered,
      c.requested_at > coalesce(h.rests_until, '-infinity') as is_judged
  ) a
  group by n.phone
), stored as (
  insert into number_health as h (organization_id, phone, calls, answered, voicemail, blocked, measured_at)
  select :organization_id, m.phone, m.calls, m.answered, m.voicemail, m.blocked, :now
  from measured m
  order by m.phone
  on conflict (organization_id, phone) do update
  set calls = excluded.calls, answered = excluded.answered, voicemail = excluded.voicemail, blocked = excluded.blocked,
    measured_at = excluded.measured_at
)
select phone, judged_calls, judged_answered from measured order by phone;

-- name: pools_in_use
-- returns: list[PoolInUse]
-- row: The numbers of a campaign with more than one.
-- List the pools of the campaigns of an organization that run.
select m.id as campaign_id, array_prepend(m.from_number, m.more_numbers) as phones
from campaigns m
where m.organization_id = :organization_id and m.status in ('active', 'pausing', 'paused')
  and cardinality(m.more_numbers) > 0
order by m.id;

-- name: end_rest
-- returns: str | None
-- End the rest of a number. Its calls count against it again from now on.
update number_health set rests_until = :now
where organization_id = :organization_id and phone = :phone and rests_until > :now
returning phone;

-- name: number_health
-- returns: list[NumberHealthRow]
-- row: A caller number with its settings, its rest and its figures of 7 days. A number that only campaigns name has no id.
-- null: id, provider_account_id, nickname, retell_agent_id, country, daily_cap, warm_up_from, imported_at, rests_until,
-- null: rest_reason, rests_since, measured_at
-- List the numbers of an organization: those it has added, and those that its running campaigns call from.
with numbers as (
  select p.phone from phone_numbers p where p.organization_id = :organization_id
  union
  select unnest(array_prepend(m.from_number, m.more_numbers)) from campaigns m
  where m.organization_id = :organization_id and m.status in ('scheduled', 'active', 'pausing', 'paused')
)
select p.id, p.provider_account_id, n.phone, p.nickname, p.retell_agent_id, p.country, p.daily_cap,
  coalesce(p.warm_up_days, 0)::integer as warm_up_days, p.warm_up_from, p.imported_at,
  h.rests_until, h.rest_reason, h.rests_since,
  coalesce(h.calls, 0) as calls, coalesce(h.answered, 0) as answered, coalesce(h.voicemail, 0) as voicemail,
  coalesce(h.blocked, 0) as blocked, h.measured_at
from numbers n
left join phone_numbers p on p.organization_id = :organization_id and p.phone = n.phone
left join number_health h on h.organization_id = :organization_id and h.phone = n.phone
order by n.phone;

-- name: rest_number
-- returns: datetime
-- Let a number rest until a time, or longer than it rests already.
insert into number_health as h (organization_id, phone, rests_until, rest_reason, rests_since)
values (:organization_id, :phone, :until, 'by_member', :now)
on conflict (organization_id, phone) do update
set rests_until = greatest(h.rests_until, excluded.rests_until), rest_reason = excluded.rest_reason,
  rests_since = case when h.rests_until > :now then h.rests_since else excluded.rests_since end
returning rests_until;

-- name: set_number_limits
-- returns: UUID | None
-- null: :daily_cap
-- Set the daily cap of a number and its warm-up, which begins when it is set, and goes on when only the cap changes.
update phone_numbers
set daily_cap = :daily_cap, warm_up_days = :warm_up_days::smallint,
  warm_up_from = case when :warm_up_days::smallint = 0 then null
    when warm_up_days = :warm_up_days::smallint and warm_up_from is not null then warm_up_from else :now::timestamptz end
where organization_id = :organization_id and phone = :phone
returning id;

-- name: foreign_numbers
-- returns: list[str]
-- List those of these numbers that an account may not call from: another account has them, or the account has imported
-- its numbers and none is this one.
select u.phone from unnest(:phones::text[]) with ordinality as u (phone, position)
left join phone_numbers p on p.organization_id = :organization_id and p.phone = u.phone
where p.provider_account_id <> :provider_account_id or p.id is null and exists (
  select from number_imports i
  where i.provider_account_id = :provider_account_id and i.finished_at is not null and i.error is null and i.listed > 0
)
order by u.position;

-- name: request_import!
-- Request the import of an account's numbers, now.
insert into number_imports as i (provider_account_id, organization_id, requested_at, next_try_at)
select a.id, a.organization_id, :now::timestamptz, :now from provider_accounts a
where a.organization_id = :organization_id and a.id = :provider_account_id
on conflict (provider_account_id) do update
set requested_at = excluded.requested_at, next_try_at = excluded.next_try_at, finished_at = null, error = null;

-- name: list_imports
-- returns: list[NumberImportRow]
-- row: The latest import of an account's numbers.
-- null: finished_at, listed, added, error
-- List the imports of an organization's numbers, by account.
select i.provider_account_id, a.name as account_name, i.requested_at, i.finished_at, i.listed, i.added, i.error
from number_imports i join provider_accounts a on a.id = i.provider_account_id
where i.organization_id = :organization_id
order by a.created_at, a.id;

-- name: imports_due
-- returns: list[NumberImportDue]
-- List imports of numbers that are due, of all organizations.
select organization_id, provider_account_id from private.number_imports_due(:now, :limit);

-- name: take_import
-- returns: str | None
-- Take an import that is due, and return the credential of its account. Another dialer takes it after next_try_at.
update number_imports i set next_try_at = :next_try_at
from provider_accounts a
where i.provider_account_id = :provider_account_id and i.next_try_at <= :now and a.id = i.provider_account_id
returning a.credential;

-- name: store_listed_numbers
-- returns: list[bool]
-- null: :nicknames[], :agents[], :countries[]
-- Store numbers that the provider lists; return for each whether it is new. Nicknames and agents of known ones stay.
insert into phone_numbers as p (organization_id, provider_account_id, phone, nickname, retell_agent_id, country,
  imported_at, created_at)
select :organization_id, :provider_account_id, u.phone, u.nickname, u.agent, u.country, :now, :now
from unnest(:phones::text[], :nicknames::text[], :agents::text[], :countries::text[])
  as u (phone, nickname, agent, country)
order by u.phone
on conflict (organization_id, phone) do update set imported_at = excluded.imported_at
where p.provider_account_id = excluded.provider_account_id
returning xmax = 0 as is_new;

-- name: unmark_unlisted!
-- Note that the provider no longer lists the other numbers of an account.
update phone_numbers set imported_at = null
where provider_account_id = :provider_account_id and imported_at < :now;

-- name: finish_import!
-- null: :error, :next_try_at
-- End an import, or postpone it after a failure.
update number_imports
set finished_at = case when :next_try_at::timestamptz is null then :now::timestamptz end, listed = :listed,
  added = :added, error = :error, next_try_at = :next_try_at
where provider_account_id = :provider_account_id and requested_at <= :now;
