-- Invitations to organizations, by email address.

-- name: create_invitation
-- returns: Invitation | None
-- row: An address that was invited to an organization. One of a studio of the version before has no link.
-- null: link_id, token_sha256, expires_at
-- Insert an invitation with its link. Returns None when the address has one already.
insert into invitations (organization_id, email, role, created_at, link_id, token_sha256, expires_at)
values (:organization_id, lower(:email), :role, :now, :link_id::uuid, :token_sha256::bytea, :expires_at::timestamptz)
on conflict (organization_id, email) do nothing
returning email, role, created_at, link_id, token_sha256, expires_at;

-- name: list_invitations
-- returns: list[Invitation]
-- null: link_id, token_sha256, expires_at
-- List the invitations of an organization, ordered by email address.
select email, role, created_at, link_id, token_sha256, expires_at
from invitations where organization_id = :organization_id order by email;

-- name: invitation_by_token
-- returns: InvitationOfLink | None
-- row: The invitation that a link leads to.
-- null: expires_at
-- Find the invitation of a link, also one that has expired.
select i.organization_id, o.name as organization_name, i.email, i.role, i.expires_at
from invitations i join organizations o on o.id = i.organization_id
where i.token_sha256 = :token_sha256;

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
select organization_id, organization_name, role, created_at from private.my_open_invitations(:now)
order by organization_name, organization_id;

-- name: answer_invitation
-- returns: bool
-- End the caller's invitation to an organization; with `accepts`, make them a member. Returns false without one.
select private.answer_invitation(:organization_id, :accepts, :now) as id;

-- name: answer_invitation_link
-- returns: UUID | None
-- End the invitation of a link, which the caller's address must have; with `accepts`, make them a member. Returns the
-- organization, or None without such an invitation.
select private.answer_invitation_link(:token_sha256, :accepts, :now) as id;
