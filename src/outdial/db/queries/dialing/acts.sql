-- Acts of members that can be undone.

-- name: record_act
-- returns: None
-- null: :campaign_id
-- Store an act. `former` is a JSON list of the entries of the do-not-call list that it names.
select private.record_act(:organization_id, :id, :kind, :campaign_id, :is_bulk, :former::text::jsonb, :now);

-- name: remember_contacts
-- returns: None
-- null: :status
-- Store what contacts with one of the statuses `was` are before an act that gives them another one, and lock them.
select private.remember_contacts(:organization_id, :act_id, :ids::uuid[], :was::text[], :status, :now);

-- name: lock_act
-- returns: LockedAct | None
-- row: An act, and whether the caller may take off the do-not-call list what it has put there.
-- null: campaign_id, undone_at
-- Lock an act until the transaction ends.
select kind, campaign_id, is_bulk, created_at, undone_at, may_unlist
from private.lock_act(:organization_id, :act_id);

-- name: mark_act_undone
-- returns: None
-- Store that an act is undone.
select private.mark_act_undone(:organization_id, :act_id, :now);

-- name: undo_contacts
-- returns: list[UUID]
-- null: :ids
-- Restore contacts that are as an act has left them; without ids, all of the act. Returns those that are restored.
select private.undo_contacts(:organization_id, :act_id, :ids::uuid[], :now) as id;

-- name: unlist_contacts
-- returns: list[UUID]
-- null: :ids
-- Take numbers of contacts off the do-not-call list that an act has put there. Returns these contacts.
select private.unlist_contacts(:organization_id, :act_id, :ids::uuid[]) as id;

-- name: unlist_phones
-- returns: list[str]
-- Take off the do-not-call list what an act has put there. Returns the numbers.
select private.unlist_phones(:organization_id, :act_id) as id;

-- name: unmark_calls
-- returns: list[UUID]
-- Remove the marks of calls that an act has left and that no member has replaced. Returns the calls.
select private.unmark_calls(:organization_id, :act_id) as id;

-- name: count_act_entries
-- returns: int
-- Count the entries of the do-not-call list, or the calls, that an act names.
select jsonb_array_length(former) as entries from undoable_acts
where organization_id = :organization_id and id = :act_id;

-- name: relist_phones
-- returns: list[str]
-- Put entries back on the do-not-call list, as they were when an act has removed them. Returns the numbers.
insert into do_not_call (organization_id, phone, purpose, source, reason, created_at, repeated_at)
select a.organization_id, f.phone, f.purpose, f.source, f.reason, f.created_at, f.repeated_at
from undoable_acts a, jsonb_to_recordset(a.former) as f (phone text, purpose text, source text, reason text,
  created_at timestamptz, repeated_at timestamptz)
where a.id = :act_id and a.organization_id = :organization_id and a.kind = 'unlist'
order by f.phone, f.purpose
on conflict do nothing
returning phone as id;

-- name: block_contacts
-- returns: list[UUID]
-- Put the numbers of contacts on the do-not-call list. Returns the contacts whose number was not on it for all calls.
select private.block_contacts(:organization_id, :ids::uuid[], :reason, :now) as id;

-- name: count_undo_contacts
-- returns: int
-- Count the contacts of an act.
select count(*) as contacts from undo_contacts where organization_id = :organization_id and act_id = :act_id;

-- name: first_undo_contact
-- returns: ContactOfAct | None
-- row: A contact of an act as it is now.
-- null: name
-- Read one contact of an act, with its campaign.
select cc.id, cc.status, cc.phone, k.name, m.status as campaign_status, u.former ->> 'status' as former_status
from undo_contacts u
join campaign_contacts cc on cc.id = u.campaign_contact_id
join contacts k on k.id = cc.contact_id
join campaigns m on m.id = cc.campaign_id
where u.organization_id = :organization_id and u.act_id = :act_id
order by cc.id
limit 1;

-- name: campaigns_of_act
-- returns: list[UUID]
-- List the campaigns of the contacts of an act.
select distinct cc.campaign_id as id
from undo_contacts u join campaign_contacts cc on cc.id = u.campaign_contact_id
where u.organization_id = :organization_id and u.act_id = :act_id;

-- name: latest_run_action
-- returns: RunAction | None
-- row: An audit entry about running a campaign. `act` names its act.
-- null: act
-- Read the latest time that someone started, paused, resumed or cancelled a campaign.
select action, details ->> 'act' as act
from audit_log
where organization_id = :organization_id and subject_id = :campaign_id::uuid::text
  and action in ('start_campaign', 'pause_campaign', 'resume_campaign', 'cancel_campaign')
order by id desc
limit 1;

-- name: create_undo_job
-- returns: int
-- null: :created_by
-- Insert a queued job that undoes an act of another job, with its portions. Returns how many contacts they have.
with chosen as materialized (
  select u.campaign_contact_id as id, u.status, u.call_count,
    (row_number() over (order by u.campaign_contact_id) - 1) / :portion_size::integer as number
  from undo_contacts u where u.organization_id = :organization_id and u.act_id = :act_id
), job as (
  insert into bulk_jobs (id, organization_id, campaign_id, action, reason, undoes, selected, other_status, created_by,
    requested_by, created_at, updated_at)
  select :id, :organization_id, :campaign_id, 'undo', :reason, :act_id, (select count(*) from chosen), 0, :created_by,
    :requested_by, :now, :now
), portions as (
  insert into bulk_job_portions (organization_id, bulk_job_id, number, ids, statuses, calls)
  select :organization_id, :id, c.number, array_agg(c.id order by c.id), array_agg(c.status order by c.id),
    array_agg(c.call_count order by c.id)
  from chosen c group by c.number
)
select count(*) as contacts from chosen;

-- name: selected_contacts
-- returns: list[ChosenContact]
-- row: A contact that a member has selected in a list.
-- null: name, :campaign_id
-- plan: custom
-- Read contacts of a campaign by their ids, without erased ones; without a campaign, of the organization.
select cc.id, cc.campaign_id, cc.status, cc.call_count, cc.attempts, cc.phone, k.name, m.status as campaign_status,
  m.max_attempts, exists (select from do_not_call d where d.organization_id = cc.organization_id and d.phone = cc.phone
    and d.purpose in ('any', m.purpose)) as do_not_call
from campaign_contacts cc
join contacts k on k.id = cc.contact_id
join campaigns m on m.id = cc.campaign_id
where cc.organization_id = :organization_id and cc.id = any (:ids::uuid[]) and k.erased_at is null
  and (:campaign_id::uuid is null or cc.campaign_id = :campaign_id)
order by cc.id;

-- name: phones_of_contacts
-- returns: list[PhoneOfContact]
-- row: A contact that a member has selected in the list of all contacts.
-- null: name
-- Read phones of contacts by their ids, without erased ones.
select id, phone, name from contacts
where organization_id = :organization_id and id = any (:ids::uuid[]) and erased_at is null
order by phone;
