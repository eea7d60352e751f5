-- Every new entry of the audit log gets its place in the chain when its transaction commits. While this runs, writers of
-- the audit log wait: for some seconds with a million entries.

create function private.note_audit_entry() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  -- Expanding the result of a call would call the function once per column.
  link public.audit_chain := private.new_audit_link(new);
begin
  insert into public.audit_chain select link.*;
  return null;
end
$$;
revoke all on function private.note_audit_entry() from public;
create trigger audit_log_noted after insert on public.audit_log
  for each row execute function private.note_audit_entry();

-- Links all entries of the transaction, as the last thing before it commits: the head of a chain stays locked from here to
-- the commit, so writers of an organization wait for each other only that long. The first round of deferred triggers may
-- still write entries (private.audit_direct_change), so it only asks for a second one. In that round, all entries are
-- there, and the heads are locked in the order of the organizations: two transactions never wait for each other.
create function private.link_audit_entries() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  organization uuid;
  head public.audit_heads;
  entry public.audit_log;
  link public.audit_chain;
begin
  if tg_op = 'INSERT' then
    update public.audit_chain c set ready = true where c.entry_id = new.entry_id and c.position is null;
    return null;
  end if;
  if exists (select from public.audit_chain c where c.entry_id = new.entry_id and c.position is not null) then
    return null;
  end if;
  -- Entries of other transactions are not visible before they are linked.
  for organization in
    select distinct c.organization_id from public.audit_chain c where c.position is null order by c.organization_id
  loop
    insert into public.audit_heads (organization_id, position, hash)
    values (organization, 0, pg_catalog.decode(repeat('00', 32), 'hex')) on conflict do nothing;
    select h.* into head from public.audit_heads h where h.organization_id = organization for update;
    for link in
      select c.* from public.audit_chain c
      where c.organization_id = organization and c.position is null
      order by c.entry_id
    loop
      select a.* into entry from public.audit_log a where a.id = link.entry_id;
      head.position := head.position + 1;
      link.hash := private.audit_hash(entry, link, head.position, head.hash);
      update public.audit_chain c set position = head.position, previous_hash = head.hash, hash = link.hash
      where c.entry_id = link.entry_id;
      head.hash := link.hash;
    end loop;
    update public.audit_heads h set position = head.position, hash = head.hash where h.organization_id = organization;
  end loop;
  return null;
end
$$;
revoke all on function private.link_audit_entries() from public;
create constraint trigger audit_chain_noted after insert on public.audit_chain
  deferrable initially deferred for each row when (new.position is null)
  execute function private.link_audit_entries();
create constraint trigger audit_chain_ready after update of ready on public.audit_chain
  deferrable initially deferred for each row when (new.ready and new.position is null)
  execute function private.link_audit_entries();

-- Entries that were written while the migration before linked the older ones.
select private.link_older_audit_entries();
-- squawk-ignore ban-drop-function
drop function private.link_older_audit_entries();

alter table public.audit_chain add constraint audit_chain_entry_id_fkey
  foreign key (entry_id) references public.audit_log (id) on delete cascade not valid;
alter table public.audit_heads add constraint audit_heads_organization_id_fkey
  foreign key (organization_id) references public.organizations (id) on delete cascade not valid;

-- An entry is never changed, except that an erasure removes a person's data from it.
create function private.refuse_audit_change() returns trigger
language plpgsql set search_path = ''
as $$
declare
  redacted public.audit_log := old;
begin
  if new.subject_id = 'erased' then
    redacted.subject_id := 'erased';
  end if;
  if new.details = '{"erased": true}' then
    redacted.details := '{"erased": true}';
  end if;
  if new is distinct from redacted or new is not distinct from old then
    raise exception 'rows of % are never changed', tg_table_name using errcode = 'insufficient_privilege';
  end if;
  return new;
end
$$;
revoke all on function private.refuse_audit_change() from public;
drop trigger audit_log_append_only on public.audit_log;
create trigger audit_log_append_only before update on public.audit_log
  for each row execute function private.refuse_audit_change();

-- Removes a person's data from the entries of the audit log while their erasure is being swept: from those about one of its
-- subjects (ids of the contact and of its campaign contacts, the phone), and from those that contain one of `p_numbers`
-- (digits of its phone, however they are punctuated there) or its email address. Their text is replaced and their salts
-- are dropped, so the digests that stay in the chain reveal nothing. A new entry lists them under the erasure: `outdial
-- verify audit` finds a redaction without one. Returns their number, which is 0 when all are redacted. Entries with the
-- subject type `erasure` are left alone, and must not hold such data.
create function private.redact_audit(p_organization_id uuid, p_erasure_id uuid, p_numbers text[], p_now timestamptz)
returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  acting text := coalesce(nullif(current_setting('role'), 'none'), session_user);
  is_process boolean := not pg_catalog.pg_has_role(acting, current_user, 'usage')
    and pg_catalog.pg_has_role(acting, 'outdial_jobs', 'usage');
  erasure public.erasures;
  words text[];
  found_ids bigint[];
begin
  if is_process and p_organization_id is distinct from private.current_organization() then
    raise exception 'a process may redact only entries of the organization that it has declared'
      using errcode = 'insufficient_privilege';
  end if;
  select e.* into erasure from public.erasures e
  where e.id = p_erasure_id and e.organization_id = p_organization_id and e.swept_at is null
  for update;
  if not found then
    raise exception 'a redaction needs an erasure of the organization that has not been swept'
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  -- The last digits of the phone, of which the country code may be missing.
  if exists (
    select from unnest(p_numbers) n
    where n is null or n !~ '^[0-9]{7,15}$' or substr(erasure.phone, 2) not like '%' || n
  ) then
    raise exception 'a redaction looks for the phone of its erasure, in 7 to 15 digits'
      using errcode = 'invalid_parameter_value';
  end if;
  -- As they are written inside JSON.
  select pg_catalog.array_agg(substring(j from 2 for length(j) - 2)) into words
  from (select lower(pg_catalog.to_json(t)::text) as j from unnest(erasure.terms) t) n;
  select pg_catalog.array_agg(f.entry_id order by f.entry_id) into found_ids from (
    select c.entry_id
    from public.audit_chain c join public.audit_log a on a.id = c.entry_id
    where c.organization_id = p_organization_id and c.position is not null and c.redacted_at is null
      and a.subject_type <> 'erasure'
      and (
        a.subject_id = any (erasure.subjects)
        or exists (
          select from unnest(p_numbers) n
          where strpos(pg_catalog.regexp_replace(a.subject_id || '"' || a.details::text, '[ ()./-]+', '', 'g'), n) > 0
        )
        or private.mentions(a.subject_id || '"' || a.details::text, '{}', words)
      )
    order by c.entry_id
    for no key update of c
  ) f;
  if found_ids is null then
    return 0;
  end if;
  update public.audit_log a set subject_id = 'erased', details = '{"erased": true}' where a.id = any (found_ids);
  update public.audit_chain c
  set subject_salt = null, details_salt = null, redacted_at = p_now, erasure_id = p_erasure_id
  where c.entry_id = any (found_ids);
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  values (p_organization_id, pg_catalog.clock_timestamp(),
    case when acting = 'authenticated' then (select auth.uid())::text when is_process then 'jobs' else 'service' end,
    'redact_audit', 'erasure', p_erasure_id::text, pg_catalog.jsonb_build_object('entries', found_ids));
  return cardinality(found_ids);
end
$$;
revoke all on function private.redact_audit(uuid, uuid, text[], timestamptz) from public;
grant execute on function private.redact_audit(uuid, uuid, text[], timestamptz) to service_role, outdial_jobs;
