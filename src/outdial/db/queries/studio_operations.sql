-- name: list_ledger
-- Events of an organization, and those without one that its account's key had signed, the newest first.
select e.id, e.call_id, e.source, e.credential, e.retell_call_id, e.event, e.status, e.received_at, e.applied_at,
  e.tries, e.error, e.repeats, octet_length(e.body) as bytes
from webhook_events e
where (e.organization_id = :organization_id
    or e.organization_id is null and e.credential in (
      select a.credential from provider_accounts a where a.organization_id = :organization_id))
  and (:before_id::bigint is null or e.id < :before_id)
  and (:status::text is null or e.status = :status)
  and (:event::text is null or e.event = :event)
  and (:source::text is null or e.source = :source)
  and (:retell_call_id::text is null or e.retell_call_id = :retell_call_id)
  and (:call_id::uuid is null or e.call_id = :call_id)
  and (:since::timestamptz is null or e.received_at >= :since)
  and (:until::timestamptz is null or e.received_at < :until)
order by e.id desc
limit :limit;

-- name: show_ledger_event
-- One event with the beginning of its body.
select e.id, e.call_id, e.source, e.credential, e.retell_call_id, e.event, e.status, e.received_at, e.applied_at,
  e.tries, e.error, e.repeats, octet_length(e.body) as size, substring(e.body from 1 for :most) as body
from webhook_events e
where e.id = :id
  and (e.organization_id = :organization_id
    or e.organization_id is null and e.credential in (
      select a.credential from provider_accounts a where a.organization_id = :organization_id));

-- name: count_odd_events
-- How many events wait for a person, and when the last one came in.
select
  (select count(*) from webhook_events e where e.status = 'unmatched' and (e.organization_id = :organization_id
    or e.organization_id is null and e.credential in (
      select a.credential from provider_accounts a where a.organization_id = :organization_id))) as unmatched,
  (select count(*) from webhook_events e where e.status = 'quarantined' and (e.organization_id = :organization_id
    or e.organization_id is null and e.credential in (
      select a.credential from provider_accounts a where a.organization_id = :organization_id))) as quarantined,
  (select e.received_at from webhook_events e where e.organization_id = :organization_id
    order by e.id desc limit 1) as last_at;

-- name: replay_ledger
-- Events that are to go through apply once more.
select private.replay_events(:organization_id, :first_id, :last_id, :status, :event, :limit, :now) as id;

-- name: list_audit
-- The audit log of an organization, the newest entries first.
select id, at, actor, action, subject_type, subject_id, details::text as details
from audit_log
where organization_id = :organization_id
  and (:before_id::bigint is null or id < :before_id)
  and (:action::text is null or action = :action)
  and (:actor::text is null or actor = :actor)
  and (:subject_type::text is null or subject_type = :subject_type)
  and (:since::timestamptz is null or at >= :since)
  and (:until::timestamptz is null or at < :until)
  and (:subject_id::text is null or subject_id = :subject_id)
order by id desc
limit :limit;

-- name: list_members
-- Who works for an organization, by address.
select user_id, email, role, created_at from private.people_of(:organization_id) order by email, user_id;

-- name: find_user_to_add
-- The user with an e-mail address.
select private.user_to_add(:organization_id, :email) as id;

-- name: add_person
-- A new member; no row when the user is one already.
insert into organization_members (organization_id, user_id, role, created_at)
values (:organization_id, :user_id, :role, :now)
on conflict (organization_id, user_id) do nothing
returning user_id as id;

-- name: change_role
-- Another role, where the caller may give it.
update organization_members set role = :role
where organization_id = :organization_id and user_id = :user_id
returning user_id as id;

-- name: remove_person
-- Somebody works here no more.
delete from organization_members where organization_id = :organization_id and user_id = :user_id
returning user_id as id;

-- name: show_organization
-- An organization with what can be set.
select id, name, daily_call_cap, created_at from organizations where id = :organization_id;

-- name: change_organization
-- Its name and its cap, unless somebody else has changed them since they were read.
update organizations set name = :name, daily_call_cap = :daily_call_cap
where id = :organization_id and name = :former_name and daily_call_cap = :former_cap
returning id;

-- name: list_accounts
-- The Retell workspaces of an organization.
select id, name, credential, concurrency_limit, reserved_inbound, calls_per_second, provider_limit, backoff_until
from provider_accounts where organization_id = :organization_id order by created_at, id;

-- name: change_account
-- The limits of a workspace.
update provider_accounts
set name = :name, concurrency_limit = :concurrency_limit, reserved_inbound = :reserved_inbound,
  calls_per_second = :calls_per_second
where id = :id and organization_id = :organization_id
returning id;

-- name: list_numbers
-- The numbers that an organization calls from.
select id, provider_account_id, phone, nickname, retell_agent_id, country
from phone_numbers where organization_id = :organization_id order by phone;

-- name: add_number
-- A number to call from; no row when it is there already.
insert into phone_numbers (id, organization_id, provider_account_id, phone, nickname, retell_agent_id, country, created_at)
values (:id, :organization_id, :provider_account_id, :phone, :nickname, :retell_agent_id, :country, :now)
on conflict (organization_id, phone) do nothing
returning id;

-- name: change_number
-- What a number is called, and which agent speaks there.
update phone_numbers set nickname = :nickname, retell_agent_id = :retell_agent_id
where id = :id and organization_id = :organization_id
returning id;

-- name: remove_number
-- A number that is called from no more.
delete from phone_numbers where id = :id and organization_id = :organization_id returning id;

-- name: list_function_versions
-- Deployed functions with their versions, the newest first.
select f.slug, v.version, v.status, v.error, v.created_at, v.created_by, f.deleted_at
from host.functions f join host.function_versions v on v.slug = f.slug
where :slug::text is null or f.slug = :slug
order by f.slug, v.version desc
limit :limit;
