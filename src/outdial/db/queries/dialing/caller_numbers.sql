-- Caller numbers: their settings and figures, what members do about them, and their import from the provider.

-- name: end_rest
-- returns: str | None
-- End the rest of a number. Its calls count against it again from now on.
update number_health set rests_until = :now
where organization_id = :organization_id and phone = :phone and rests_until > :now
returning phone;

-- name: number_health
-- returns: list[NumberHealthRow]
-- row: A caller number with its settings, its rest and its figures of 7 days. A number that only campaigns name has no id.
-- row: `calls_of_day` are those that its daily cap counts: of 24 hours, and live ones.
-- null: id, provider_account_id, nickname, retell_agent_id, country, daily_cap, warm_up_from, imported_at, rests_until,
-- null: rest_reason, rests_since, measured_at, calls_of_day, :phones
-- List these numbers, or else all of an organization: those it has added, and those that its running campaigns call from.
with numbers as (
  select unnest(:phones::text[]) as phone
  union
  select p.phone from phone_numbers p where p.organization_id = :organization_id and :phones::text[] is null
  union
  select unnest(array_prepend(m.from_number, m.more_numbers)) from campaigns m
  where m.organization_id = :organization_id and m.status in ('scheduled', 'active', 'pausing', 'paused')
    and :phones::text[] is null
)
select p.id, p.provider_account_id, n.phone, p.nickname, p.retell_agent_id, p.country, p.daily_cap,
  coalesce(p.warm_up_days, 0)::integer as warm_up_days, p.warm_up_from, p.imported_at,
  h.rests_until, h.rest_reason, h.rests_since,
  coalesce(h.calls, 0) as calls, coalesce(h.answered, 0) as answered, coalesce(h.voicemail, 0) as voicemail,
  coalesce(h.blocked, 0) as blocked, h.measured_at,
  case when p.daily_cap is not null then (
    select count(*) from calls c where c.organization_id = :organization_id and c.from_number = n.phone
      and c.outcome is not null and c.requested_at > :day_ago
  ) + (
    select count(*) from calls c where c.provider_account_id = p.provider_account_id and c.from_number = n.phone
      and c.outcome is null and c.status in ('placing', 'placed', 'ongoing', 'unknown')
  ) end as calls_of_day
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
-- null: finished_at, listed, added, error, agents_listed
-- List the imports of an organization's numbers, by account.
select i.provider_account_id, a.name as account_name, i.requested_at, i.finished_at, i.listed, i.added, i.error,
  i.agents_listed
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
