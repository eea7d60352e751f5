-- Provider accounts, their limits, and the numbers they call from.

-- name: create_provider_account!
-- Insert a Retell workspace with its limits.
insert into provider_accounts (id, organization_id, name, credential, concurrency_limit, reserved_inbound,
  calls_per_second, created_at)
values (:id, :organization_id, :name, :credential, :concurrency_limit, :reserved_inbound, :calls_per_second, :now);

-- name: list_accounts
-- returns: list[ProviderAccount]
-- row: A Retell workspace. `provider_limit` is the limit Retell last reported; the smaller one applies.
-- null: provider_limit, backoff_until
-- List the Retell workspaces of an organization, oldest first.
select id, name, credential, concurrency_limit, reserved_inbound, calls_per_second, provider_limit, backoff_until
from provider_accounts where organization_id = :organization_id order by created_at, id;

-- name: default_account
-- returns: UUID
-- Return the oldest workspace of an organization.
select id from provider_accounts where organization_id = :organization_id order by created_at, id limit 1;

-- name: change_account
-- returns: UUID
-- Change the name and the limits of a workspace.
update provider_accounts
set name = :name, concurrency_limit = :concurrency_limit, reserved_inbound = :reserved_inbound,
  calls_per_second = :calls_per_second
where id = :id and organization_id = :organization_id
returning id;

-- name: lock_account
-- returns: LockedAccount
-- row: An account, locked, with the limits of its calls.
-- null: backoff_until
-- Lock the row that owns the limits. Everything that counts against them is counted under this lock. Foreign keys do not
-- wait for it: pausing a campaign checks the one of the row it has written.
select id, credential, least(concurrency_limit, coalesce(provider_limit, concurrency_limit)) as concurrency_limit,
  reserved_inbound, calls_per_second, rate_factor, next_start_at, backoff_until
from provider_accounts
where id = :provider_account_id
for no key update;

-- name: lock_accounts
-- returns: list[LockedAccount]
-- null: backoff_until
-- Lock all accounts of an organization in the order of their ids, as a stop of all calls does: what is counted over the
-- organization then waits for the claims of each account.
select id, credential, least(concurrency_limit, coalesce(provider_limit, concurrency_limit)) as concurrency_limit,
  reserved_inbound, calls_per_second, rate_factor, next_start_at, backoff_until
from provider_accounts
where organization_id = :organization_id
order by id
for no key update;

-- name: count_live
-- returns: LiveCounts
-- row: Live calls of an account and a campaign, campaigns that share the slots, the daily cap per phone, the
-- row: organization's pre-dial hook, and whether all its calls are stopped.
-- null: hook_retry_at
-- Count the live calls of an account and a campaign, and the campaigns that share the slots. A released call that is
-- still checked, because evidence of it came late, takes a slot too, and so does a test call.
select live.of_account + (select count(*) from test_calls t where t.provider_account_id = :provider_account_id and t.status = 'sent')
    as account_live, live.of_campaign as campaign_live,
  wanting.sharers, wanting.weight, wanting.total_weight,
  (select o.daily_call_cap from organizations o where o.id = :organization_id) as daily_call_cap,
  (select o.stopped_at is not null from organizations o where o.id = :organization_id) as is_stopped,
  h.organization_id is not null as has_hook, h.retry_at as hook_retry_at
from (
  select count(*) as of_account, count(*) filter (where c.campaign_id = :campaign_id) as of_campaign
  from (
    select campaign_id from calls
    where provider_account_id = :provider_account_id and status in ('placing', 'placed', 'ongoing', 'unknown')
    union all
    select campaign_id from calls
    where provider_account_id = :provider_account_id and status in ('released', 'review') and next_check_at is not null
  ) c
) live
cross join (
  select count(*) as sharers, coalesce(sum(m.share << (m.priority - 1)), 1)::bigint as total_weight,
    coalesce(sum(m.share << (m.priority - 1)) filter (where m.id = :campaign_id), 1)::bigint as weight
  from campaigns m
  where m.provider_account_id = :provider_account_id and m.status = 'active'
    and (m.id = :campaign_id or coalesce(m.waiting_for, 'pacing') in ('concurrency', 'pacing'))
) wanting
left join pre_dial_hooks h on h.organization_id = :organization_id;

-- name: count_account_live
-- returns: int
-- Count the live calls of an account, as count_live does. Needs lock_account.
select count(*) as live
from (
  select from calls
  where provider_account_id = :provider_account_id and status in ('placing', 'placed', 'ongoing', 'unknown')
  union all
  select from calls
  where provider_account_id = :provider_account_id and status in ('released', 'review') and next_check_at is not null
  union all
  select from test_calls where provider_account_id = :provider_account_id and status = 'sent'
) c;

-- name: update_pace!
-- null: :backoff_until
-- Store the pace of an account after a claim, a capacity error or a recovery. Needs lock_account.
update provider_accounts
set next_start_at = :next_start_at, rate_factor = :rate_factor, backoff_until = :backoff_until
where id = :provider_account_id;

-- name: set_provider_limit!
-- Store the concurrency limit that Retell reports, if it has changed.
update provider_accounts set provider_limit = :provider_limit
where id = :provider_account_id and provider_limit is distinct from :provider_limit;

-- name: list_caller_numbers
-- returns: list[PhoneNumber]
-- row: A caller number.
-- null: nickname, retell_agent_id, country
-- List the numbers that a campaign form offers, named ones first, with their accounts.
select n.id, n.provider_account_id, n.phone, n.nickname, n.retell_agent_id, n.country
from phone_numbers n
where n.organization_id = :organization_id
order by n.nickname nulls last, n.phone
limit 200;

-- name: list_numbers
-- returns: list[PhoneNumber]
-- null: nickname, retell_agent_id, country
-- List the numbers that an organization calls from.
select id, provider_account_id, phone, nickname, retell_agent_id, country
from phone_numbers where organization_id = :organization_id order by phone;

-- name: add_number
-- returns: UUID | None
-- null: :country, :nickname, :retell_agent_id
-- Insert a number to call from. Returns None when the organization has it already.
insert into phone_numbers (id, organization_id, provider_account_id, phone, nickname, retell_agent_id, country,
  created_at)
values (:id, :organization_id, :provider_account_id, :phone, :nickname, :retell_agent_id, :country, :now)
on conflict (organization_id, phone) do nothing
returning id;

-- name: change_number
-- returns: UUID
-- null: :nickname, :retell_agent_id
-- Change the nickname and the agent of a number.
update phone_numbers set nickname = :nickname, retell_agent_id = :retell_agent_id
where id = :id and organization_id = :organization_id
returning id;

-- name: remove_number
-- returns: UUID
-- Delete a number.
delete from phone_numbers where id = :id and organization_id = :organization_id returning id;
