-- What users see and change about their own account, whichever Auth keeps it.

-- name: lacks_second_factor
-- returns: bool
-- Return whether the caller is a user with a second factor who has not given it in this session.
select private.lacks_second_factor() as id;

-- name: my_sessions
-- returns: list[OwnSession]
-- row: A session of the caller. `used_at` is when its tokens were renewed last; a pending one waits for a second factor.
-- null: user_agent
-- List the sessions of the caller, the current one first.
select id, created_at, used_at, user_agent, is_current, is_pending from private.my_sessions_and_pending(:now)
order by is_current desc, used_at desc, id;

-- name: end_my_session
-- returns: bool
-- End a session of the caller. Returns false when there is none.
select private.end_my_session(:id, :now) as id;

-- name: audit_account_change!
-- Record a change of a user's account in each organization that they work for.
select private.audit_account_change(:user_id, :action);

-- name: may_reset_password
-- returns: bool
-- null: :made_by
-- Return whether a user is an admin of an organization (null: a back end with the secret key), and another user a member
-- of it, and of no other, and no owner. Only the service sees all.
select (:made_by::uuid is null or exists (
  select from organization_members
  where organization_id = :organization_id and user_id = :made_by and role in ('admin', 'owner')
)) and exists (
  select from organization_members
  where organization_id = :organization_id and user_id = :user_id and role <> 'owner'
) and not exists (
  select from organization_members where user_id = :user_id and organization_id <> :organization_id
) as id;
