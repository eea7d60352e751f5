-- name: create_organization!
-- A tenant.
insert into organizations (id, name, daily_call_cap, created_at) values (:id, :name, :daily_call_cap, :now);

-- name: list_organizations
-- Tenants with their account's limits, by name.
select o.id, o.name, o.daily_call_cap, a.credential, a.concurrency_limit, a.calls_per_second, o.created_at
from organizations o left join provider_accounts a on a.organization_id = o.id
order by o.name, o.id;

-- name: add_member!
-- A person who works for the organization.
insert into organization_members (organization_id, user_id, role, created_at)
values (:organization_id, :user_id, :role, :now)
on conflict (organization_id, user_id) do update set role = excluded.role;

-- name: create_provider_account!
-- A Retell workspace with its limits.
insert into provider_accounts (id, organization_id, name, credential, concurrency_limit, reserved_inbound,
  calls_per_second, created_at)
values (:id, :organization_id, :name, :credential, :concurrency_limit, :reserved_inbound, :calls_per_second, :now);

-- name: find_provider_accounts
-- The accounts of an organization.
select id, organization_id, name, credential from provider_accounts
where organization_id = :organization_id order by created_at, id;

-- name: create_campaign!
-- A draft.
insert into campaigns (id, organization_id, provider_account_id, name, retell_agent_id, from_number, batch_size,
  max_concurrency, calling_hours, retry_policy, max_attempts, dynamic_variables, scheduled_at, created_at, updated_at)
values (:id, :organization_id, :provider_account_id, :name, :retell_agent_id, :from_number, :batch_size,
  :max_concurrency, :calling_hours::text::jsonb, :retry_policy::text::jsonb, :max_attempts,
  :dynamic_variables::text::jsonb, :scheduled_at, :now, :now);

-- name: list_campaigns
-- The newest campaigns first.
select id, organization_id, name, status, retell_agent_id, from_number, scheduled_at, started_at, finished_at,
  created_at
from campaigns
where (:organization_id::uuid is null or organization_id = :organization_id)
  and (:status::text is null or status = :status)
order by created_at desc, id desc
limit :limit;

-- name: show_campaign
-- One campaign with its settings.
select id, organization_id, provider_account_id, name, status, retell_agent_id, from_number, batch_size,
  max_concurrency, calling_hours::text as calling_hours, retry_policy::text as retry_policy, max_attempts,
  dynamic_variables::text as dynamic_variables, scheduled_at, next_batch_at, waiting_for, paused_reason, started_at,
  finished_at, created_at
from campaigns
where id = :campaign_id;

-- name: count_contacts
-- Contacts of a campaign by status, counted from their rows.
select status, count(*) as contacts, coalesce(sum(attempts), 0)::bigint as attempts
from campaign_contacts
where campaign_id = :campaign_id
group by status;

-- name: count_calls
-- Calls of a campaign by status and outcome, counted from their rows.
select status, outcome, count(*) as calls, coalesce(sum(cost_cents), 0) as cost_cents,
  coalesce(sum(duration_ms), 0)::bigint as duration_ms
from calls
where campaign_id = :campaign_id
group by status, outcome;

-- name: lock_campaign_for_import
-- Contacts are added while the campaign is open to them; it cannot complete until the transaction ends.
select id, organization_id, status from campaigns where id = :campaign_id for share;

-- name: upsert_contacts
-- People by phone. What the file says wins over what was known; what it leaves empty stays.
insert into contacts (id, organization_id, phone, name, email, company, notes, external_id, timezone, zone_key,
  zone_source, created_at, updated_at)
select u.id, :organization_id, u.phone, u.name, u.email, u.company, u.notes, u.external_id, u.timezone, u.zone_key,
  u.zone_source, :now, :now
from unnest(:ids::uuid[], :phones::text[], :names::text[], :emails::text[], :companies::text[], :notes::text[],
  :external_ids::text[], :timezones::text[], :zone_keys::text[], :zone_sources::text[])
  as u (id, phone, name, email, company, notes, external_id, timezone, zone_key, zone_source)
on conflict (organization_id, phone) do update
set name = coalesce(excluded.name, contacts.name), email = coalesce(excluded.email, contacts.email),
  company = coalesce(excluded.company, contacts.company), notes = coalesce(excluded.notes, contacts.notes),
  external_id = coalesce(excluded.external_id, contacts.external_id),
  timezone = coalesce(excluded.timezone, contacts.timezone),
  zone_key = case when excluded.timezone is null and contacts.timezone is not null then contacts.zone_key
    else excluded.zone_key end,
  zone_source = case when excluded.timezone is null and contacts.timezone is not null then contacts.zone_source
    else excluded.zone_source end,
  updated_at = excluded.updated_at
returning id, phone, zone_key;

-- name: add_campaign_contacts
-- Contacts enter the campaign; one that is in it already brings no row back.
insert into campaign_contacts (id, organization_id, campaign_id, contact_id, phone, zone_key, next_attempt_at,
  variables, created_at, updated_at)
select u.id, :organization_id, :campaign_id, u.contact_id, u.phone, u.zone_key, :now, u.variables::jsonb, :now, :now
from unnest(:ids::uuid[], :contact_ids::uuid[], :phones::text[], :zone_keys::text[], :variables::text[])
  as u (id, contact_id, phone, zone_key, variables)
on conflict (campaign_id, contact_id) do nothing
returning contact_id as id;

-- name: refresh_variables!
-- What the file says of contacts that are in the campaign already and wait: it wins, and what it leaves empty stays.
update campaign_contacts cc
set variables = cc.variables || u.variables::jsonb, updated_at = :now
from unnest(:contact_ids::uuid[], :variables::text[]) as u (contact_id, variables)
where cc.contact_id = u.contact_id and cc.variables || u.variables::jsonb <> cc.variables and cc.id in (
  select id from campaign_contacts
  where campaign_id = :campaign_id and contact_id = any (:contact_ids::uuid[]) and status = 'pending'
  order by id
  for update
);

-- name: blocked_phones
-- Which of these phones are on the do-not-call list.
select phone as id from do_not_call where organization_id = :organization_id and phone = any (:phones::text[]);

-- name: wake_campaign!
-- New contacts: a running campaign looks again now.
update campaigns set next_batch_at = :now where id = :campaign_id and status = 'active' and next_batch_at > :now;

-- name: add_dnc
-- Numbers that nobody may call any more; one that is listed already brings no row back.
insert into do_not_call (organization_id, phone, source, reason, created_at)
select :organization_id, u.phone, :source, :reason, :now from unnest(:phones::text[]) as u (phone)
order by u.phone
on conflict do nothing
returning phone as id;

-- name: remove_dnc
-- Numbers that may be called again.
delete from do_not_call where organization_id = :organization_id and phone = any (:phones::text[])
returning phone as id;

-- name: list_dnc
-- The do-not-call list, the newest first.
select phone, source, reason, created_at from do_not_call
where organization_id = :organization_id
order by created_at desc, phone
limit :limit;

-- name: list_campaign_contacts
-- Contacts of a campaign with where each stands.
select cc.id, cc.phone, k.name, cc.status, cc.attempts, cc.last_outcome, cc.status_reason, cc.next_attempt_at,
  cc.zone_key
from campaign_contacts cc join contacts k on k.id = cc.contact_id
where cc.campaign_id = :campaign_id and (:status::text is null or cc.status = :status)
order by cc.id
limit :limit;
