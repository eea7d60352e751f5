-- The numbers that campaigns call from: what decides whether each may take a call, when they rest, how they fare.

-- name: lone_number
-- returns: LoneNumber | None
-- row: A caller number without a daily cap, as in `pool_numbers`.
-- null: rests_until
-- Read the number of a campaign that has no other, unless it has a daily cap. It is planned once and reads no live call,
-- of which an account may have thousands. Needs lock_account where it decides about calls.
select h.rests_until, array(
    select c.outcome = 'blocked' from calls c
    where c.organization_id = :organization_id and c.from_number = n.phone and c.outcome is not null
      and c.outcome <> all (:not_of_number::text[])
      and c.requested_at > greatest(:measured_from::timestamptz, h.rests_until)
    order by c.requested_at desc limit :recent
  ) as blocked
from (select :phone::text as phone) n
left join phone_numbers p on p.organization_id = :organization_id and p.phone = n.phone
left join number_health h on h.organization_id = :organization_id and h.phone = n.phone
where p.daily_cap is null;

-- name: pool_numbers
-- returns: list[PoolNumberRow]
-- row: A caller number of a campaign. `blocked` says of its latest ended calls, newest first, whether they were blocked.
-- row: `ended` counts those of 24 hours: all of them where there is a cap, else at most :compared, and none of a number
-- row: that is alone. `last_call_at` matters in a pool only.
-- null: daily_cap, warm_up_from, rests_until, last_call_at
-- Read the numbers of a campaign in their order. Calls from before the end of a number's rest do not count against it,
-- nor do calls that failed for other reasons than the number. Needs lock_account where it decides about calls.
select n.phone, p.daily_cap, coalesce(p.warm_up_days, 0)::integer as warm_up_days, p.warm_up_from, h.rests_until,
  coalesce(live.calls, 0) as live,
  case when p.daily_cap is null and cardinality(:phones::text[]) = 1 then 0 else (
    select count(*) from (
      select from calls c where c.organization_id = :organization_id and c.from_number = n.phone
        and c.outcome is not null and c.requested_at > :day_ago
        and c.status not in ('placing', 'placed', 'ongoing', 'unknown')
      order by c.requested_at desc limit case when p.daily_cap is null then :compared::integer end
    ) counted
  ) end as ended,
  case when cardinality(:phones::text[]) > 1 then greatest(live.last_call_at, (
    select c.requested_at from calls c where c.organization_id = :organization_id and c.from_number = n.phone
      and c.outcome is not null order by c.requested_at desc limit 1
  )) end as last_call_at,
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
  select c.from_number, count(*) as calls, max(c.requested_at) as last_call_at from calls c
  where c.provider_account_id = :provider_account_id and c.status in ('placing', 'placed', 'ongoing', 'unknown')
  group by c.from_number
) live on live.from_number = n.phone
order by n.position;

-- name: calls_in_flight
-- returns: int
-- Count the calls of a number that may still be blocked: those that are live, without those whose request was lost.
-- Needs lock_account.
select count(*) as calls from calls c
where c.provider_account_id = :provider_account_id and c.from_number = :phone
  and (c.status in ('placing', 'placed', 'ongoing') or c.status = 'unknown' and c.request_deadline > :now);

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

-- name: note_all_rest
-- returns: list[RestingPool]
-- row: A campaign all of whose numbers rest, the first until a time.
-- null: :campaign_id
-- Note of the active campaigns of an organization, or of one, that all their numbers rest, once for each rest that
-- completes it. Return those that were not noted. One that a claim has locked is noted by it, or the next time.
with resting as (
  select m.id, cardinality(m.more_numbers) + 1 as numbers, min(h.rests_until) as until, max(h.rests_since) as since
  from campaigns m
  join number_health h on h.organization_id = m.organization_id and h.rests_until > :now
    and h.phone = any (array_prepend(m.from_number, m.more_numbers))
  where m.organization_id = :organization_id and (:campaign_id::uuid is null or m.id = :campaign_id)
    and m.status = 'active'
  group by m.id
  having count(*) = cardinality(m.more_numbers) + 1
), due as (
  select m.id, r.numbers, r.until, r.since
  from campaigns m join resting r on r.id = m.id
  where m.numbers_alerted_at is null or m.numbers_alerted_at < r.since
  order by m.id
  for no key update of m skip locked
)
-- The clock of the process that began the rest may be ahead.
update campaigns m set numbers_alerted_at = greatest(:now, d.since)
from due d
where m.id = d.id
returning d.id as campaign_id, d.numbers, d.until;

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
