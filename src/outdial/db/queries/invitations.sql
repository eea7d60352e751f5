-- Invitations to organizations, by email address.

-- name: create_invitation
-- returns: Invitation | None
-- row: A person who was invited to an organization and has neither accepted nor declined.
-- Insert an invitation. Returns None when the address has one already.
insert into invitations (organization_id, email, role, created_at)
values (:organization_id, lower(:email), :role, :now)
on conflict (organization_id, email) do nothing
returning email, role, created_at;

-- name: list_invitations
-- returns: list[Invitation]
-- List the invitations of an organization, ordered by email address.
select email, role, created_at from invitations where organization_id = :organization_id order by email;

-- name: delete_invitation
-- returns: str | None
-- Withdraw an invitation. Returns None when there is none, or when the caller may not withdraw it.
delete from invitations where organization_id = :organization_id and email = lower(:email)
returning role as id;

-- name: delete_invitation_of_member!
-- Delete the invitation of a user who was made a member without it.
delete from invitations i
using private.people_of(:organization_id) p
where i.organization_id = :organization_id and p.user_id = :user_id and i.email = lower(p.email);

-- name: my_invitations
-- returns: list[MyInvitation]
-- row: An invitation that the caller has received.
-- List the invitations of the caller, by the confirmed email address of their account.
select organization_id, organization_name, role, created_at from private.my_invitations()
order by organization_name, organization_id;

-- name: answer_invitation
-- returns: bool
-- End the caller's invitation to an organization; with `accepts`, make them a member. Returns false without one.
select private.answer_invitation(:organization_id, :accepts, :now) as id;
