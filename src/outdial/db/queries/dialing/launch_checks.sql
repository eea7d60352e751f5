-- Launch checks: what is asked of the provider and of the contacts before a campaign starts, and what was found.

-- name: check_subject
-- returns: CheckSubject | None
-- row: A campaign with the credential of its account. Variables and policies are JSON text. `last_event_at` is that of the account's
-- row: newest webhook event.
-- null: last_event_at
-- Read what the launch check of a campaign is about.
select m.id, m.organization_id, m.retell_agent_id, m.from_number, m.more_numbers,
  m.dynamic_variables::text as dynamic_variables, a.credential, m.max_attempts,
  m.retry_policy::text as retry_policy, m.voicemail_policy::text as voicemail_policy,
  (select e.received_at from webhook_events e where e.organization_id = m.organization_id
    and e.credential = a.credential and e.source = 'webhook' order by e.id desc limit 1) as last_event_at
from campaigns m
join provider_accounts a on a.id = m.provider_account_id
where m.id = :campaign_id;

-- name: pending_jurisdictions
-- returns: list[PendingJurisdiction]
-- row: How many pending contacts have a jurisdiction key.
-- Count the pending contacts of a campaign by where they may be.
select jurisdiction_key, count(*) as contacts from campaign_contacts
where campaign_id = :campaign_id and status = 'pending'
group by jurisdiction_key;

-- name: count_empty_variables
-- returns: list[EmptyVariable]
-- row: How many pending contacts have no value for a variable, of how many.
-- plan: custom
-- Count the pending contacts of a campaign that have no value for each of these variables.
select u.name as name,
  count(*) filter (where coalesce(
    nullif(trim(cc.variables ->> u.name), ''), nullif(trim(k.attributes ->> u.name), ''),
    nullif(case u.name when 'name' then k.name when 'email' then k.email when 'company' then k.company
      when 'external_id' then k.external_id end, '')
  ) is null) as without, count(*) as contacts
from campaign_contacts cc
join contacts k on k.id = cc.contact_id
cross join unnest(:names::text[]) as u (name)
where cc.campaign_id = :campaign_id and cc.status = 'pending'
group by u.name
order by u.name;

-- name: request_launch_check!
-- Request a launch check, also if the last one has been carried out.
insert into launch_checks (campaign_id, organization_id, requested_at)
values (:campaign_id, :organization_id, :now)
on conflict (campaign_id) do update set requested_at = excluded.requested_at, taken_at = null, checked_at = null;

-- name: show_launch_check
-- returns: LaunchCheckRow | None
-- row: A launch check. Findings are JSON text, and older than the request while `checked_at` is null.
-- null: checked_at
-- Read the last launch check of a campaign.
select campaign_id, requested_at, checked_at, findings::text as findings
from launch_checks where campaign_id = :campaign_id and organization_id = :organization_id;

-- name: due_launch_checks
-- returns: list[DueLaunchCheck]
-- List the requested launch checks of all organizations.
select organization_id, campaign_id from private.launch_checks_due(:now, :limit);

-- name: take_launch_check
-- returns: datetime | None
-- Take a requested launch check for a minute: another dialer does not carry it out meanwhile. Returns when it was
-- requested.
update launch_checks set taken_at = :now
where campaign_id = :campaign_id and checked_at is null and (taken_at is null or taken_at < :now::timestamptz - interval '1 minute')
returning requested_at as id;

-- name: finish_launch_check!
-- Store what a launch check has found, unless it was requested again meanwhile.
update launch_checks set checked_at = :now, findings = :findings::text::jsonb
where campaign_id = :campaign_id and requested_at = :requested_at;
