-- The audit log is a chain of hashes per organization: each entry has a position, and its hash covers the hash of the
-- entry before it. An entry that is changed, removed, inserted or moved breaks the chain, and `outdial verify audit` finds
-- it. The next migration starts the chain for new entries; this one links those that exist, without a lock on audit_log.

-- The place of an entry in the chain. The subject and the details go into the hash as salted digests, so that erasing a
-- person replaces their text and drops the salts, and the chain still holds.
create table public.audit_chain (
  entry_id bigint primary key,
  organization_id uuid not null,
  -- Null until the transaction that writes the entry commits.
  position bigint check (position > 0),
  previous_hash bytea check (octet_length(previous_hash) = 32),
  hash bytea check (octet_length(hash) = 32),
  subject_salt bytea check (octet_length(subject_salt) = 16),
  subject_digest bytea not null check (octet_length(subject_digest) = 32),
  details_salt bytea check (octet_length(details_salt) = 16),
  details_digest bytea not null check (octet_length(details_digest) = 32),
  -- When a person's data was removed from the entry, and by which erasure.
  redacted_at timestamptz,
  erasure_id uuid,
  -- All other work of the transaction is done (private.link_audit_entries).
  ready boolean not null default false,
  constraint audit_chain_linked check ((position is null) = (hash is null) and (hash is null) = (previous_hash is null)),
  constraint audit_chain_redacted check (
    (redacted_at is null) = (erasure_id is null)
    and (redacted_at is null) = (subject_salt is not null and details_salt is not null)
  )
);
create unique index audit_chain_position on public.audit_chain (organization_id, position);
create index audit_chain_unlinked on public.audit_chain (organization_id, entry_id) where position is null;

-- The newest position of each chain. Linking locks this row.
create table public.audit_heads (
  organization_id uuid primary key,
  position bigint not null check (position >= 0),
  hash bytea not null check (octet_length(hash) = 32)
);

-- Only functions of the owner write either table.
revoke all on public.audit_chain, public.audit_heads from anon, authenticated, service_role;
grant select on public.audit_chain, public.audit_heads to authenticated, service_role;
alter table public.audit_chain enable row level security;
alter table public.audit_chain force row level security;
alter table public.audit_heads enable row level security;
alter table public.audit_heads force row level security;
create policy members_read on public.audit_chain for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy members_read on public.audit_heads for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));

create function private.audit_digest(p_salt bytea, p_text text) returns bytea
language sql immutable set search_path = ''
as $$ select pg_catalog.sha256(p_salt || pg_catalog.convert_to(p_text, 'UTF8')) $$;
revoke all on function private.audit_digest(bytea, text) from public;

-- Text is preceded by its length in bytes, so that no two entries have the same input. docs/evidence.md describes it.
create function private.audit_hash(p_entry public.audit_log, p_link public.audit_chain, p_position bigint, p_previous bytea)
returns bytea
language sql immutable set search_path = ''
as $$
  select pg_catalog.sha256(
    'outdial-audit-1'::bytea || pg_catalog.uuid_send(p_entry.organization_id) || pg_catalog.int8send(p_position)
    || p_previous || pg_catalog.int8send(p_entry.id)
    || pg_catalog.int8send((extract(epoch from p_entry.at) * 1000000)::bigint)
    || pg_catalog.int4send(octet_length(p_entry.actor)) || pg_catalog.convert_to(p_entry.actor, 'UTF8')
    || pg_catalog.int4send(octet_length(p_entry.action)) || pg_catalog.convert_to(p_entry.action, 'UTF8')
    || pg_catalog.int4send(octet_length(p_entry.subject_type)) || pg_catalog.convert_to(p_entry.subject_type, 'UTF8')
    || p_link.subject_digest || p_link.details_digest
  )
$$;
revoke all on function private.audit_hash(public.audit_log, public.audit_chain, bigint, bytea) from public;

-- Salts have 122 random bits.
create function private.new_audit_link(p_entry public.audit_log) returns public.audit_chain
language plpgsql volatile set search_path = ''
as $$
declare
  link public.audit_chain;
begin
  link.entry_id := p_entry.id;
  link.organization_id := p_entry.organization_id;
  link.subject_salt := pg_catalog.uuid_send(pg_catalog.gen_random_uuid());
  link.subject_digest := private.audit_digest(link.subject_salt, p_entry.subject_id);
  link.details_salt := pg_catalog.uuid_send(pg_catalog.gen_random_uuid());
  link.details_digest := private.audit_digest(link.details_salt, p_entry.details::text);
  link.ready := false;
  return link;
end
$$;
revoke all on function private.new_audit_link(public.audit_log) from public;

-- Links the entries that have no place yet: those of each organization in the order of their ids. Returns their number.
create function private.link_older_audit_entries() returns bigint
language plpgsql volatile set search_path = ''
as $$
declare
  entry public.audit_log;
  link public.audit_chain;
  head public.audit_heads;
  linked bigint := 0;
begin
  for entry in
    select a.* from public.audit_log a
    where not exists (select from public.audit_chain c where c.entry_id = a.id)
    order by a.organization_id, a.id
  loop
    if head.organization_id is distinct from entry.organization_id then
      update public.audit_heads h set position = head.position, hash = head.hash
      where h.organization_id = head.organization_id;
      insert into public.audit_heads (organization_id, position, hash)
      values (entry.organization_id, 0, pg_catalog.decode(repeat('00', 32), 'hex')) on conflict do nothing;
      select h.* into head from public.audit_heads h where h.organization_id = entry.organization_id for update;
    end if;
    link := private.new_audit_link(entry);
    link.ready := true;
    link.position := head.position + 1;
    link.previous_hash := head.hash;
    link.hash := private.audit_hash(entry, link, link.position, link.previous_hash);
    insert into public.audit_chain select link.*;
    head.position := link.position;
    head.hash := link.hash;
    linked := linked + 1;
  end loop;
  update public.audit_heads h set position = head.position, hash = head.hash
  where h.organization_id = head.organization_id;
  return linked;
end
$$;
revoke all on function private.link_older_audit_entries() from public;

-- A million entries take some minutes. Those that are written meanwhile are linked by the next migration.
select private.link_older_audit_entries();
