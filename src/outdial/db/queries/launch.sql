-- What a campaign will not call, counted before it starts.

-- name: allow_sort_memory
-- returns: str
-- Let the statements of this transaction sort and hash a million phones in memory: 4 MB, the default, spills to disk.
select set_config('work_mem', '32MB', true) as id;

-- name: count_uncallable
-- returns: list[UncallableCount]
-- row: Pending contacts of one place with the same first reason not to be called: do_not_call, no_consent, or listed on
-- row: the list with that position; no reason for those that may be called.
-- null: list_position
-- plan: custom
-- Count the pending contacts of a campaign by place and by the first reason not to call them. `accepted` are the bases
-- of the consent that the campaign requires, none if it requires none. `list_ids` are the lists that apply, those that
-- no consent lifts first; `lifted` says of each whether written consent lifts it. Unless `reads_consents`, consents make
-- no difference and are not read. The tables are joined as sets: of a large campaign they are read once, of a small one through their indexes.
with pending as (
  select cc.phone, cc.zone_key, cc.jurisdiction_key from campaign_contacts cc
  where cc.campaign_id = :campaign_id and cc.status = 'pending'
),
opted_out as (
  select distinct d.phone
  from pending p
  join do_not_call d on d.organization_id = :organization_id and d.phone = p.phone and d.purpose = any (:scopes::text[])
),
consenting as (
  select c.phone, bool_or(c.basis = any (:accepted::text[])) as is_accepted, bool_or(c.basis = 'written') as is_written
  from pending p
  join consents c on c.organization_id = :organization_id and c.phone = p.phone
  where c.scope = any (:scopes::text[]) and c.revoked_at is null and c.basis in ('written', 'express')
    and :reads_consents::boolean
    and not exists (select from consents r where r.organization_id = :organization_id and r.phone = c.phone
      and r.basis = 'none' and r.scope = any (:scopes::text[]) and r.given_at >= c.given_at)
  group by c.phone
),
listed as (
  select n.phone, min(l.position) as first_list, min(l.position) filter (where not l.is_lifted) as first_not_lifted
  from pending p
  join screened_numbers n on n.organization_id = :organization_id and n.phone = p.phone
  join unnest(:list_ids::uuid[], :lifted::boolean[]) with ordinality as l (list_id, is_lifted, position)
    on l.list_id = n.list_id
  group by n.phone
),
judged as (
  select p.zone_key, p.jurisdiction_key,
    case
      when o.phone is not null then 'do_not_call'
      when cardinality(:accepted::text[]) > 0 and c.is_accepted is not true then 'no_consent'
      when case when c.is_written then s.first_not_lifted else s.first_list end is not null then 'listed'
      else ''
    end as reason,
    case when c.is_written then s.first_not_lifted else s.first_list end as list_position
  from pending p
  left join opted_out o on o.phone = p.phone
  left join consenting c on c.phone = p.phone
  left join listed s on s.phone = p.phone
)
select zone_key, jurisdiction_key, reason, case reason when 'listed' then list_position end as list_position,
  count(*) as contacts
from judged
group by 1, 2, 3, 4;

-- name: count_not_pending
-- returns: list[NotPendingCount]
-- row: Contacts of a campaign with one status other than pending.
-- Count the contacts of a campaign that are not pending by status.
select status, count(*) as contacts from campaign_contacts
where campaign_id = :campaign_id and status <> 'pending'
group by status;
