-- Calling rules of an organization: its own ones, and the rules it has switched off.

-- name: rules_of
-- returns: OrganizationRules
-- row: What an organization changes about the shipped rules. Its own rules are JSON text.
-- Read the ids of the rules that an organization has switched off, and its own rules that are not.
with latest as (
  select distinct on (s.rule_id) s.rule_id, s.is_off
  from rule_switches s
  where s.organization_id = :organization_id
  order by s.rule_id, s.id desc
)
select
  array(select l.rule_id from latest l where l.is_off order by l.rule_id) as switched_off,
  array(
    select r.body::text from calling_rules r
    where r.organization_id = :organization_id and r.pack_date is null
      and not exists (select from latest l where l.rule_id = r.rule_id and l.is_off)
    order by r.rule_id
  ) as own_rules;

-- name: list_own_rules
-- returns: list[OwnRule]
-- row: A rule that the organization has added, as JSON text.
-- List the organization's own rules, also those switched off.
select rule_id, body::text as body, created_by, created_at
from calling_rules
where organization_id = :organization_id and pack_date is null
order by rule_id;

-- name: add_rule!
-- Add a rule of the organization.
insert into calling_rules (id, organization_id, rule_id, body, created_by, created_at)
values (:id, :organization_id, :rule_id, :body::text::jsonb, :created_by, :now);

-- name: latest_switches
-- returns: list[RuleSwitch]
-- row: A rule switched off, or on again: by whom, when and why.
-- List the latest switch of each rule that was ever switched.
select distinct on (rule_id) rule_id, is_off, reason, actor, at
from rule_switches
where organization_id = :organization_id
order by rule_id, id desc;

-- name: switches_of_rule
-- returns: list[RuleSwitch]
-- row: A rule switched off, or on again: by whom, when and why.
-- List the switches of one rule, newest first.
select rule_id, is_off, reason, actor, at
from rule_switches
where organization_id = :organization_id and rule_id = :rule_id
order by id desc
limit 100;

-- name: switch_rule!
-- Switch a rule off, or on again. The latest switch counts; one that changes nothing is not added.
insert into rule_switches (organization_id, rule_id, is_off, reason, actor, at)
select :organization_id, :rule_id, :is_off, :reason, :actor, :now
where :is_off is distinct from coalesce((
  select s.is_off from rule_switches s
  where s.organization_id = :organization_id and s.rule_id = :rule_id
  order by s.id desc limit 1
), false);

-- name: contacts_by_jurisdiction
-- returns: list[JurisdictionCount]
-- row: How many contacts have a jurisdiction key.
-- Count the contacts of an organization by where they may be.
select jurisdiction_key, count(*) as contacts
from contacts
where organization_id = :organization_id
group by jurisdiction_key
order by jurisdiction_key;

-- name: count_pending_places
-- returns: list[PlaceCount]
-- row: A place with pending contacts of a campaign, and how many, counted up to a limit.
-- Count the pending contacts of each place of a campaign, up to :most of each, from an index alone. It takes one index
-- probe per place, and reads no more than :most entries of each.
select zone_key, jurisdiction_key, contacts
from private.count_pending_places(:organization_id, :campaign_id, :most);

-- name: wake_organization
-- returns: list[UUID]
-- Have the dialer evaluate the active campaigns of an organization now: their rules have changed. They are locked in the
-- order of their ids, as by others who lock several.
update campaigns set next_batch_at = :now
where id in (
  select id from campaigns
  where organization_id = :organization_id and status = 'active' and next_batch_at > :now
  order by id for no key update
)
returning id;

-- name: phone_facts
-- returns: PhoneFacts
-- row: What an organization knows about a number. Its contact's keys are null without a contact.
-- null: zone_key, jurisdiction_key, zone_source
-- Read what decides about a call to a number: its contact's place, the do-not-call list, the strongest consent, the lists
-- that have it, and when it was called. `scopes` are those of consents and opt-outs that are about the purpose.
select o.daily_call_cap, k.zone_key, k.jurisdiction_key, k.zone_source,
  exists (select from do_not_call d where d.organization_id = o.id and d.phone = :phone
    and d.purpose = any (:scopes::text[])) as do_not_call,
  coalesce((select c.basis from consents c where c.organization_id = o.id and c.phone = :phone
    and c.basis in ('written', 'express') and c.scope = any (:scopes::text[]) and c.revoked_at is null
    and not exists (select from consents r where r.organization_id = o.id and r.phone = :phone and r.basis = 'none'
      and r.scope = any (:scopes::text[]) and r.given_at >= c.given_at)
    order by c.basis desc limit 1), '') as consent,
  array(select n.list_id from screened_numbers n where n.organization_id = o.id and n.phone = :phone) as listed_on,
  array(select c.requested_at from calls c where c.organization_id = o.id and c.phone = :phone
    and c.requested_at > :since and c.status not in ('refused', 'released')
    order by c.requested_at desc limit 100) as called_at
from organizations o
left join contacts k on k.organization_id = o.id and k.phone = :phone
where o.id = :organization_id;

-- name: copy_rules!
-- Keep a copy of shipped rules that decided about a call, for those who look at the call after the rules have changed.
insert into calling_rules (organization_id, rule_id, pack_date, body, created_by, created_at)
select :organization_id, u.rule_id, :pack_date, u.body::jsonb, 'dialer', :now
from unnest(:rule_ids::text[], :bodies::text[]) as u (rule_id, body)
on conflict (organization_id, rule_id, pack_date) do nothing;
