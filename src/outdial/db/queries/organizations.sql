-- Organizations, and the role of the caller in them.

-- name: create_organization!
-- Insert an organization.
insert into organizations (id, name, daily_call_cap, created_at) values (:id, :name, :daily_call_cap, :now);

-- name: lock_creation
-- returns: None
-- Wait for others who create an organization in the studio. The first one there is special.
select pg_advisory_xact_lock(hashtext('outdial.first_organization'));

-- name: read_creation_facts
-- returns: CreationFacts
-- row: What decides whether a user may create an organization.
-- Read whether there are organizations, and whether the user is a member of one.
select exists (select from organizations) as has_organizations,
  exists (select from organization_members m where m.user_id = :user_id) as is_member;

-- name: list_organizations
-- returns: list[OrganizationRow]
-- row: An organization with the limits of its account.
-- null: credential, concurrency_limit, calls_per_second
-- List organizations with the limits of their accounts, ordered by name.
select o.id, o.name, o.daily_call_cap, a.credential, a.concurrency_limit, a.calls_per_second, o.created_at
from organizations o left join provider_accounts a on a.organization_id = o.id
order by o.name, o.id;

-- name: find_organization
-- returns: UUID | None
-- Find an organization that the caller may see.
select id from organizations where id = :organization_id;

-- name: show_organization
-- returns: OrganizationDetail | None
-- row: An organization with its settings.
-- Read an organization with its settings.
select id, name, daily_call_cap, created_at from organizations where id = :organization_id;

-- name: change_organization
-- returns: UUID | None
-- Change the name and the daily cap, unless someone has changed them since they were read.
update organizations set name = :name, daily_call_cap = :daily_call_cap
where id = :organization_id and name = :former_name and daily_call_cap = :former_cap
returning id;

-- name: may_operate
-- returns: bool
-- Return whether the signed-in caller may run campaigns of the organization.
select :organization_id = any (array(select private.my_organizations('operator'))) as id;

-- name: find_membership
-- returns: OrganizationMembership | None
-- row: An organization the caller is a member of.
-- null: :user_id
-- Read an organization with the caller's role. The holder of the secret key counts as an owner.
select o.id, o.name, coalesce(m.role, 'owner') as role, o.stopped_at is not null as is_stopped
from organizations o
left join organization_members m on m.organization_id = o.id and m.user_id = :user_id
where o.id = :organization_id and (:user_id::uuid is null or m.user_id is not null);

-- name: list_memberships
-- returns: list[OrganizationMembership]
-- null: :user_id
-- List the organizations of the caller, ordered by name.
select o.id, o.name, coalesce(m.role, 'owner') as role, o.stopped_at is not null as is_stopped
from organizations o
left join organization_members m on m.organization_id = o.id and m.user_id = :user_id
where :user_id::uuid is null or m.user_id is not null
order by o.name, o.id
limit :limit;

-- name: read_first_steps
-- returns: FirstSteps
-- row: How far an organization has come to its first completed campaign.
-- Read which of the first steps an organization has taken.
select
  exists (select from campaigns c where c.organization_id = :organization_id and c.status = 'completed') as has_completed,
  exists (
    select from (
      select e.source from webhook_events e where e.organization_id = :organization_id order by e.id desc limit 1000
    ) e where e.source = 'webhook'
  ) as has_webhook,
  exists (
    select from provider_keys k where k.organization_id = :organization_id and k.accepted_until is null
  ) or exists (
    select from provider_accounts a where a.organization_id = :organization_id and a.environment_key_at is not null
  ) as has_key,
  exists (select from phone_numbers n where n.organization_id = :organization_id) as has_number,
  exists (select from campaigns c where c.organization_id = :organization_id) as has_campaign,
  (
    select c.id from campaigns c
    where c.organization_id = :organization_id and c.status = 'draft' and c.archived_at is null
    order by c.id desc limit 1
  ) as draft_id,
  exists (select from contacts c where c.organization_id = :organization_id) as has_contacts,
  exists (select from test_calls t where t.organization_id = :organization_id) as has_test_call;
