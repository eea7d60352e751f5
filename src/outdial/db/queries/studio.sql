-- name: find_workplace
-- An organization with the caller's role in it: the holder of the secret key counts as an owner.
select o.id, o.name, coalesce(m.role, 'owner') as role
from organizations o
left join organization_members m on m.organization_id = o.id and m.user_id = :user_id
where o.id = :organization_id and (:user_id::uuid is null or m.user_id is not null);

-- name: list_workplaces
-- The organizations that the caller works for, by name.
select o.id, o.name, coalesce(m.role, 'owner') as role
from organizations o
left join organization_members m on m.organization_id = o.id and m.user_id = :user_id
where :user_id::uuid is null or m.user_id is not null
order by o.name, o.id
limit :limit;

-- name: take_idempotency_key
-- Take a key for a request; no row when the caller has used it, for which a request under way is waited.
insert into idempotency_keys (organization_id, caller, key, request_sha256, created_at)
values (:organization_id, :caller, :key, :request_sha256, :now)
on conflict do nothing
returning key as id;

-- name: read_idempotency_key
-- What a key was used for, and how that was answered.
select request_sha256, answer_status as status, answer::text as body
from idempotency_keys
where organization_id = :organization_id and caller = :caller and key = :key;

-- name: keep_answer!
-- Keep the answer to the request that took a key.
update idempotency_keys set answer_status = :status, answer = :body::text::jsonb
where organization_id = :organization_id and caller = :caller and key = :key and answer_status is null;

-- name: forget_idempotency_keys!
-- Remove a caller's keys that nobody will send again.
delete from idempotency_keys
where organization_id = :organization_id and caller = :caller and created_at < :before;

-- name: visible_campaigns
-- Those of the given campaigns that the caller may see in an organization.
select id from campaigns where organization_id = :organization_id and id = any (:ids::uuid[]);

-- name: adopt_organizations!
-- Let a user own the organizations for which nobody works yet: on a local stack, the command line makes such.
insert into organization_members (organization_id, user_id, role, created_at)
select o.id, :user_id::uuid, 'owner', :now::timestamptz
from organizations o
where not exists (select from organization_members m where m.organization_id = o.id)
on conflict do nothing;

-- name: default_account
-- The workspace that an organization calls through first.
select id from provider_accounts where organization_id = :organization_id order by created_at, id limit 1;
