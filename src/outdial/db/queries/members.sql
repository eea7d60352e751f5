-- Members of organizations.

-- name: set_member!
-- A person who works for the organization.
insert into organization_members (organization_id, user_id, role, created_at)
values (:organization_id, :user_id, :role, :now)
on conflict (organization_id, user_id) do update set role = excluded.role;

-- name: list_members
-- returns: list[MemberRow]
-- null: email
-- Who works for an organization, by address.
select user_id, email, role, created_at from private.people_of(:organization_id) order by email, user_id;

-- name: find_user_to_add
-- returns: UUID | None
-- The user with an e-mail address.
select private.user_to_add(:organization_id, :email) as id;

-- name: add_member
-- returns: UUID | None
-- A new member; no row when the user is one already.
insert into organization_members (organization_id, user_id, role, created_at)
values (:organization_id, :user_id, :role, :now)
on conflict (organization_id, user_id) do nothing
returning user_id as id;

-- name: change_role
-- returns: UUID | None
-- Another role, where the caller may give it.
update organization_members set role = :role
where organization_id = :organization_id and user_id = :user_id
returning user_id as id;

-- name: remove_member
-- returns: UUID | None
-- Somebody works here no more.
delete from organization_members where organization_id = :organization_id and user_id = :user_id
returning user_id as id;

-- name: adopt_organizations!
-- Let a user own the organizations for which nobody works yet: on a local stack, the command line makes such.
insert into organization_members (organization_id, user_id, role, created_at)
select o.id, :user_id::uuid, 'owner', :now::timestamptz
from organizations o
where not exists (select from organization_members m where m.organization_id = o.id)
on conflict do nothing;
