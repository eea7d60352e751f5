-- Members of organizations.

-- name: set_member!
-- Add a user to an organization, or change the role.
insert into organization_members (organization_id, user_id, role, created_at)
values (:organization_id, :user_id, :role, :now)
on conflict (organization_id, user_id) do update set role = excluded.role;

-- name: list_members
-- returns: list[OrganizationMember]
-- row: A user with a role in the organization.
-- null: email
-- List the members of an organization, ordered by email address.
select user_id, email, role, created_at from private.people_of(:organization_id) order by email, user_id;

-- name: change_role
-- returns: UUID | None
-- Change the role of a member.
update organization_members set role = :role
where organization_id = :organization_id and user_id = :user_id
returning user_id as id;

-- name: remove_member
-- returns: UUID | None
-- Remove a member.
delete from organization_members where organization_id = :organization_id and user_id = :user_id
returning user_id as id;

-- name: adopt_organizations!
-- Make a user the owner of all organizations without members. On a local stack the command line creates such
-- organizations.
insert into organization_members (organization_id, user_id, role, created_at)
select o.id, :user_id::uuid, 'owner', :now::timestamptz
from organizations o
where not exists (select from organization_members m where m.organization_id = o.id)
on conflict do nothing;
