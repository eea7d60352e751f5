-- Organizations, and the role of the caller in them.

-- name: create_organization!
-- A tenant.
insert into organizations (id, name, daily_call_cap, created_at) values (:id, :name, :daily_call_cap, :now);

-- name: list_organizations
-- returns: list[OrganizationRow]
-- null: credential, concurrency_limit, calls_per_second
-- Tenants with their account's limits, by name.
select o.id, o.name, o.daily_call_cap, a.credential, a.concurrency_limit, a.calls_per_second, o.created_at
from organizations o left join provider_accounts a on a.organization_id = o.id
order by o.name, o.id;

-- name: find_organization
-- returns: UUID | None
-- The organization as the caller may see it.
select id from organizations where id = :organization_id;

-- name: show_organization
-- returns: OrganizationDetail | None
-- An organization with what can be set.
select id, name, daily_call_cap, created_at from organizations where id = :organization_id;

-- name: change_organization
-- returns: UUID | None
-- Its name and its cap, unless somebody else has changed them since they were read.
update organizations set name = :name, daily_call_cap = :daily_call_cap
where id = :organization_id and name = :former_name and daily_call_cap = :former_cap
returning id;

-- name: may_operate
-- returns: bool
-- Whether the signed-in caller may run campaigns of the organization.
select :organization_id = any (array(select private.my_organizations('operator'))) as id;

-- name: find_workplace
-- returns: WorkplaceRow | None
-- null: :user_id
-- An organization with the caller's role in it: the holder of the secret key counts as an owner.
select o.id, o.name, coalesce(m.role, 'owner') as role
from organizations o
left join organization_members m on m.organization_id = o.id and m.user_id = :user_id
where o.id = :organization_id and (:user_id::uuid is null or m.user_id is not null);

-- name: list_workplaces
-- returns: list[WorkplaceRow]
-- null: :user_id
-- The organizations that the caller works for, by name.
select o.id, o.name, coalesce(m.role, 'owner') as role
from organizations o
left join organization_members m on m.organization_id = o.id and m.user_id = :user_id
where :user_id::uuid is null or m.user_id is not null
order by o.name, o.id
limit :limit;
