-- The chain of the audit log, as `outdial verify audit` reads it. Triggers write it.

-- name: chained_organizations
-- returns: list[ChainedOrganization]
-- row: An organization, and the newest position of its chain. No head means no entry.
-- null: head_position, head_hash, :organization_id
-- plan: custom
-- List the organizations, or the one with this id.
select o.id, o.name, h.position as head_position, h.hash as head_hash
from organizations o left join audit_heads h on h.organization_id = o.id
where :organization_id::uuid is null or o.id = :organization_id
order by o.id;

-- name: chain_of_organization
-- returns: AsyncIterator[ChainedEntry]
-- row: A place in the chain, the entry that it leads to, and the head of the same moment. `details` is JSON text. Without
-- row: the entry, all its columns are null; a place of a committed entry has a position and hashes.
-- null: position, previous_hash, hash, subject_salt, details_salt, redacted_at, erasure_id, at, actor, action
-- null: subject_type, subject_id, details, head_position, head_hash
-- plan: custom
-- Stream the chain of an organization by position; places without one come last.
select c.position, c.entry_id, c.previous_hash, c.hash, c.subject_salt, c.subject_digest, c.details_salt,
  c.details_digest, c.redacted_at, c.erasure_id, a.at, a.actor, a.action, a.subject_type, a.subject_id,
  a.details::text as details, h.position as head_position, h.hash as head_hash
from audit_chain c
left join audit_log a on a.id = c.entry_id and a.organization_id = c.organization_id
left join audit_heads h on h.organization_id = c.organization_id
where c.organization_id = :organization_id
order by c.position;

-- name: place_after_hash
-- returns: ChainPlace | None
-- row: A place in a chain.
-- null: position
-- Find the place of another entry that names this hash as the one before it.
select position, entry_id from audit_chain
where organization_id = :organization_id and previous_hash = :hash and entry_id <> :entry_id
order by position limit 1;

-- name: unchained_entry
-- returns: UnchainedEntry | None
-- row: An entry of the audit log that has no place in the chain.
-- Find the first entry of an organization that was written past the chain.
select a.id, a.action from audit_log a
where a.organization_id = :organization_id
  and not exists (select from audit_chain c where c.entry_id = a.id and c.organization_id = a.organization_id)
order by a.id limit 1;

-- name: unknown_erasures
-- returns: list[UUID]
-- Return those of these ids that no erasure of the organization has.
select u.id from unnest(:ids::uuid[]) as u (id)
where not exists (select from erasures e where e.id = u.id and e.organization_id = :organization_id)
order by u.id;
