-- Erasing what is known about a phone: at once where an index leads to it, by the jobs process everywhere else, and by
-- the dialer at Retell. A keyed hash of the phone, the time, and the user who asked stay.

-- Contacts and calls keep their rows, because the counts and costs of campaigns are made of them.
alter table public.contacts
  add column erased_at timestamptz;
-- squawk-ignore ban-drop-constraint
alter table public.contacts drop constraint contacts_phone_check;
-- An erased contact has its id in place of the phone. Validated in a later migration, because reading all contacts under
-- the lock of this one would stop the dialer.
alter table public.contacts
  add constraint contacts_phone_check
    check (phone ~ '^\+[1-9][0-9]{6,14}$' or erased_at is not null and phone = 'erased:' || id::text) not valid;

-- An erasure replaces the phone in both tables within one statement of the caller.
alter table public.campaign_contacts
  alter constraint campaign_contacts_organization_id_contact_id_phone_fkey deferrable initially immediate;

alter table public.calls
  -- The person was removed from the row, by an erasure or because of the age of the call.
  add column erased_at timestamptz,
  -- The transcript with its analysis, and the links to recording and log, were removed because of their age.
  add column transcript_removed_at timestamptz,
  add column recording_removed_at timestamptz;

-- Removed data stays away when an event arrives late or is applied again. A decision keeps only keys that name no place
-- and no time of the contact.
create function private.keep_removed() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if new.erased_at is not null then
    -- A network that blocked the caller number for the phone would do so again: the pair outlives the age of the call, and
    -- only an erasure removes it.
    if new.outcome is distinct from 'blocked' then
      new.phone := 'erased';
    end if;
    new.request := '{}';
    new.hook_result := null;
    new.error := null;
    -- What Retell still knows about the call is not fetched any more.
    new.next_check_at := null;
    new.decision := coalesce((
      select pg_catalog.jsonb_object_agg(d.key, d.value) from pg_catalog.jsonb_each(new.decision) d
      where d.key in ('calling_hours', 'do_not_call', 'attempts', 'max_attempts', 'calls_in_24_hours', 'daily_call_cap',
        'live_calls', 'concurrency_limit', 'reserved_inbound', 'rule_ids', 'pack_date', 'purpose', 'consent_required',
        'consent', 'screening_lists')
    ), '{}');
  end if;
  if new.erased_at is not null or new.transcript_removed_at is not null then
    new.transcript := null;
    new.analysis := null;
  end if;
  if new.erased_at is not null or new.recording_removed_at is not null then
    new.recording_url := null;
    new.public_log_url := null;
  end if;
  return new;
end
$$;
revoke all on function private.keep_removed() from public;
create trigger calls_keep_removed before update on public.calls
  for each row
  when (new.erased_at is not null or new.transcript_removed_at is not null or new.recording_removed_at is not null)
  execute function private.keep_removed();

-- An erased contact is never pending again, whatever makes skipped or failed ones pending.
create function private.keep_erased_out() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.status := 'skipped';
  new.status_reason := 'the contact was erased';
  return new;
end
$$;
revoke all on function private.keep_erased_out() from public;
create trigger campaign_contacts_keep_erased_out before update of status on public.campaign_contacts
  for each row when (new.status = 'pending' and new.phone like 'erased:%') execute function private.keep_erased_out();

-- The hash of the body and the times stay.
alter table public.webhook_events
  add column body_removed_at timestamptz;
grant update (body_removed_at) on public.webhook_events to outdial_webhook;

create function private.remove_body() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.body := '';
  -- A message about a body that could not be read may quote it.
  new.error := case new.status when 'applied' then null else 'its body was removed' end;
  new.status := case new.status when 'pending' then 'quarantined' else new.status end;
  return new;
end
$$;
revoke all on function private.remove_body() from public;
create trigger webhook_events_remove_body before insert or update on public.webhook_events
  for each row when (new.body_removed_at is not null) execute function private.remove_body();

create table public.erasures (
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- HMAC-SHA-256 of organization and phone. The key is OUTDIAL_ERASURE_KEY, which no database knows.
  phone_hash bytea not null check (octet_length(phone_hash) = 32),
  -- Identifies the key without revealing it.
  key_id bytea not null check (octet_length(key_id) = 8),
  requested_by text not null check (requested_by <> ''),
  requested_at timestamptz not null,
  -- What to look for in files, logs and events. Empty once it was swept.
  phone text,
  terms text[] not null default '{}',
  subjects text[] not null default '{}',
  -- What remains to be done before it can be swept, such as an import that is still running.
  waiting_for text,
  -- Rows removed by place.
  removed jsonb not null default '{}' check (jsonb_typeof(removed) = 'object'),
  swept_at timestamptz,
  -- Retell has confirmed every deletion.
  finished_at timestamptz,
  unique (organization_id, phone_hash),
  unique (organization_id, id),
  constraint erasures_swept check ((swept_at is null) = (phone is not null)),
  constraint erasures_finished check (finished_at is null or swept_at is not null)
);
create index erasures_listed on public.erasures (organization_id, requested_at desc, id desc);
create index erasures_open on public.erasures (requested_at) where finished_at is null;

-- Calls to delete at Retell. Without an id of Retell's, the dialer asks which calls carry our id.
create table public.erasure_calls (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  erasure_id uuid not null,
  provider_account_id uuid not null,
  call_id uuid,
  retell_call_id text,
  next_try_at timestamptz not null,
  tries integer not null default 0 check (tries >= 0),
  error text,
  confirmed_at timestamptz,
  unique nulls not distinct (erasure_id, call_id, retell_call_id),
  check (call_id is not null or retell_call_id is not null),
  foreign key (organization_id, erasure_id) references public.erasures (organization_id, id) on delete cascade,
  foreign key (organization_id, provider_account_id) references public.provider_accounts (organization_id, id)
    on delete cascade
);
create index erasure_calls_account on public.erasure_calls (provider_account_id);
create index erasure_calls_due on public.erasure_calls (next_try_at) where confirmed_at is null;

-- What was looked for is forgotten.
create function private.forget_phone() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.phone := null;
  new.terms := '{}';
  new.subjects := '{}';
  new.waiting_for := null;
  return new;
end
$$;
revoke all on function private.forget_phone() from public;
create trigger erasures_forget_phone before update on public.erasures
  for each row when (new.swept_at is not null) execute function private.forget_phone();

revoke all on public.erasures, public.erasure_calls from anon, authenticated, service_role;
grant select, insert, update, delete on public.erasures, public.erasure_calls to service_role;

alter table public.erasures enable row level security;
alter table public.erasures force row level security;
-- Not the phone nor the terms, which only the sweep needs.
grant select (id, organization_id, phone_hash, key_id, requested_by, requested_at, waiting_for, removed, swept_at,
  finished_at) on public.erasures to authenticated;
grant select (id, organization_id, phone_hash, key_id, swept_at) on public.erasures to outdial_dialer;
grant select on public.erasures to outdial_jobs;
grant update (waiting_for, removed, swept_at, finished_at) on public.erasures to outdial_jobs;
create policy members_read on public.erasures for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy jobs_work on public.erasures for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
create policy dialer_reads on public.erasures for select to outdial_dialer
  using (organization_id = (select private.current_organization()));

alter table public.erasure_calls enable row level security;
alter table public.erasure_calls force row level security;
grant select on public.erasure_calls to authenticated, outdial_jobs, outdial_dialer;
grant insert on public.erasure_calls to outdial_dialer;
grant update (retell_call_id, next_try_at, tries, error, confirmed_at) on public.erasure_calls to outdial_dialer;
create policy members_read on public.erasure_calls for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy jobs_read on public.erasure_calls for select to outdial_jobs
  using (organization_id = (select private.current_organization()));
create policy dialer_works on public.erasure_calls for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

-- Whether a text contains one of the numbers, however it is punctuated, or one of the terms, which are email addresses in
-- lower case. A longer address that contains one is another person's. A line break before it may be written as an escape.
create function private.mentions(p_text text, p_numbers text[], p_terms text[]) returns boolean
language sql immutable set search_path = ''
as $$
  select exists (
      select from unnest(p_numbers) n where position(n in pg_catalog.regexp_replace(p_text, '[^0-9]+', '', 'g')) > 0
    ) or exists (
      select from unnest(p_terms) t
      where position(t in lower(p_text)) > 0
        and lower(p_text) ~ (
          '(^|[^a-z0-9._%+-]|\\[nrt])' || pg_catalog.regexp_replace(t, '(\W)', '\\\1', 'g') || '(?![a-z0-9-]|\.[a-z0-9])'
        )
    )
$$;
revoke all on function private.mentions(text, text[], text[]) from public;

-- Calls to a phone, or to the contact that has it.
create function private.calls_of_phone(p_organization_id uuid, p_phone text) returns setof uuid
language sql stable security definer set search_path = ''
as $$
  select c.id from public.calls c where c.organization_id = p_organization_id and c.phone = p_phone
  union
  select c.id
  from public.contacts k
  join public.campaign_contacts cc on cc.contact_id = k.id
  join public.calls c on c.campaign_contact_id = cc.id
  where k.organization_id = p_organization_id and k.phone = p_phone
$$;
revoke all on function private.calls_of_phone(uuid, text) from public;

-- The email address of a contact, in lower case, if it identifies the contact: no placeholder such as `-`, and of no other
-- contact of the organization. Null otherwise.
create function private.address_of_contact(p_organization_id uuid, p_phone text) returns text
language sql stable security definer set search_path = ''
as $$
  select lower(trim(c.email))
  from public.contacts c
  where c.organization_id = p_organization_id and c.phone = p_phone
    and trim(c.email) ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$'
    and not exists (
      select from public.contacts k
      where k.organization_id = p_organization_id and k.id <> c.id and lower(trim(k.email)) = lower(trim(c.email))
    )
$$;
revoke all on function private.address_of_contact(uuid, text) from public;

-- Erases a phone wherever an index leads to it, and requests the rest. Returns `legal_hold` or `live_call` if nothing was
-- done, `requested` otherwise, with the campaigns with one contact less to call. Rows are locked like everywhere:
-- calls before contacts, each in the order of ids. The function checks the caller itself, because callers may not change
-- most of these columns.
create function private.erase_phone(
  p_organization_id uuid, p_erasure_id uuid, p_phone text, p_phone_hash bytea, p_key_id bytea, p_requested_by text,
  p_now timestamptz
) returns table (result text, erasure_id uuid, campaign_ids uuid[])
language plpgsql volatile security definer set search_path = ''
as $$
declare
  author text := p_requested_by;
  is_held boolean;
  call_ids uuid[];
  entry_ids uuid[];
  address text;
  queued public.opt_out_syncs[];
  contact public.contacts;
  request_id uuid;
  woken uuid[];
begin
  if current_setting('role') <> 'service_role' then
    if not p_organization_id = any (array(select private.my_organizations('admin'))) then
      raise exception 'erasing a contact requires the role admin in the organization'
        using errcode = 'insufficient_privilege';
    end if;
    author := (select auth.uid())::text;
  end if;
  -- Before anything is locked, because it reads the contacts of the organization.
  address := private.address_of_contact(p_organization_id, p_phone);
  -- Imports that have looked for erased phones before this one add no contact afterwards.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('erasures:' || p_organization_id::text, 0));
  -- A hold that is set now waits for this transaction, and the other way round.
  select o.legal_hold into is_held from public.organizations o where o.id = p_organization_id for share;
  if is_held then
    return query select 'legal_hold', null::uuid, '{}'::uuid[];
    return;
  end if;
  select coalesce(pg_catalog.array_agg(i order by i), '{}') into call_ids
  from private.calls_of_phone(p_organization_id, p_phone) i;
  perform from public.calls c where c.id = any (call_ids) order by c.id for update;
  select k.* into contact from public.contacts k
  where k.organization_id = p_organization_id and k.phone = p_phone for update;
  select coalesce(pg_catalog.array_agg(l.id), '{}') into entry_ids from (
    select cc.id from public.campaign_contacts cc where cc.contact_id = contact.id order by cc.id for update
  ) l;
  -- A claim may have placed a call in the meantime. From here on, it finds no contact.
  if exists (
      select from public.calls c
      where c.organization_id = p_organization_id and c.phone = p_phone
        and c.status in ('placing', 'placed', 'ongoing', 'unknown')
    ) or exists (
      select from public.campaign_contacts cc where cc.id = any (entry_ids) and cc.status = 'calling'
    ) then
    return query select 'live_call', null::uuid, '{}'::uuid[];
    return;
  end if;
  insert into public.erasures (id, organization_id, phone_hash, key_id, requested_by, requested_at, phone, subjects, terms)
  -- No name: other people have it, too.
  values (p_erasure_id, p_organization_id, p_phone_hash, p_key_id, author, p_now, p_phone,
    p_phone || array_remove(contact.id || entry_ids, null)::text[], array_remove(array[address], null))
  on conflict (organization_id, phone_hash) do update
    set phone = excluded.phone, subjects = excluded.subjects, terms = excluded.terms, swept_at = null,
      finished_at = null, waiting_for = null
  returning id into request_id;
  -- Calls that were refused do not exist at Retell.
  insert into public.erasure_calls (organization_id, erasure_id, provider_account_id, call_id, retell_call_id, next_try_at)
  select c.organization_id, request_id, c.provider_account_id, c.id, c.retell_call_id, p_now
  from public.calls c
  where c.id = any (call_ids) and (c.retell_call_id is not null or c.status in ('released', 'review'))
  on conflict do nothing;
  update public.calls c set phone = 'erased', erased_at = p_now, updated_at = p_now where c.id = any (call_ids);
  update public.webhook_events e
  set body_removed_at = p_now
  from (
    select w.id from public.webhook_events w where w.call_id = any (call_ids) order by w.id for update
  ) l
  where e.id = l.id;
  delete from public.consents s where s.organization_id = p_organization_id and s.phone = p_phone;
  delete from public.screened_numbers s where s.organization_id = p_organization_id and s.phone = p_phone;
  set constraints public.campaign_contacts_organization_id_contact_id_phone_fkey deferred;
  update public.contacts k
  set phone = 'erased:' || k.id::text, erased_at = p_now, name = null, email = null, company = null, notes = null,
    external_id = null, timezone = null, zone_key = 'UTC', zone_source = 'number', attributes = '{}', country = null,
    region = null, postal_code = null, jurisdiction_key = '', keys_version = 2147483647, updated_at = p_now
  where k.id = contact.id;
  select coalesce(pg_catalog.array_agg(distinct cc.campaign_id), '{}') into woken
  from public.campaign_contacts cc where cc.id = any (entry_ids) and cc.status in ('pending', 'review');
  -- The reason why a contact was skipped may be one that makes it pending again.
  update public.campaign_contacts cc
  set phone = 'erased:' || cc.contact_id::text, zone_key = 'UTC', jurisdiction_key = '', variables = '{}',
    status = case cc.status when 'pending' then 'skipped' when 'review' then 'failed' else cc.status end,
    status_reason = case when cc.status in ('pending', 'review', 'skipped') then 'the contact was erased'
      when cc.status_reason ~ '[0-9]{5}' then 'removed when the contact was erased' else cc.status_reason end,
    decision_note = null, updated_at = p_now
  where cc.id = any (entry_ids);
  set constraints public.campaign_contacts_organization_id_contact_id_phone_fkey immediate;
  -- Opt-outs that are still due reach the provider before the sweep. The number stays on the provider's own list, so
  -- nothing that the deletion from the do-not-call list queues is sent.
  perform from public.opt_out_syncs s where s.organization_id = p_organization_id and s.phone = p_phone
  order by s.provider_account_id for update;
  select pg_catalog.array_agg(s) into queued from public.opt_out_syncs s
  where s.organization_id = p_organization_id and s.phone = p_phone and s.next_try_at is not null;
  delete from public.do_not_call d where d.organization_id = p_organization_id and d.phone = p_phone;
  delete from public.opt_out_syncs s where s.organization_id = p_organization_id and s.phone = p_phone;
  insert into public.opt_out_syncs select q.* from unnest(queued) q;
  return query select 'requested', request_id, woken;
end
$$;
revoke all on function private.erase_phone(uuid, uuid, text, bytea, bytea, text, timestamptz) from public;
grant execute on function private.erase_phone(uuid, uuid, text, bytea, bytea, text, timestamptz)
  to authenticated, service_role;

-- The keys that phones of an organization were hashed with. No phone is erased until the transaction of the caller, which
-- is about to add contacts, has ended.
create function private.erasure_key_ids(p_organization_id uuid) returns setof bytea
language plpgsql volatile security definer set search_path = ''
as $$
declare
  acting text := coalesce(nullif(current_setting('role'), 'none'), session_user);
  is_allowed boolean;
begin
  if acting = 'authenticated' then
    is_allowed := p_organization_id = any (array(select private.my_organizations()));
  else
    is_allowed := acting = 'service_role' or pg_catalog.pg_has_role(acting, current_user, 'usage')
      or p_organization_id = private.current_organization();
  end if;
  -- Not an empty result: it would mean that nothing was erased.
  if is_allowed is not true then
    raise exception 'erasures are those of your organization' using errcode = 'insufficient_privilege';
  end if;
  perform pg_catalog.pg_advisory_xact_lock_shared(
    pg_catalog.hashtextextended('erasures:' || p_organization_id::text, 0));
  return query select distinct e.key_id from public.erasures e where e.organization_id = p_organization_id;
end
$$;
revoke all on function private.erasure_key_ids(uuid) from public;
grant execute on function private.erasure_key_ids(uuid) to authenticated, service_role, outdial_jobs;

-- Erasures of all organizations without a legal hold that can go on: first those that wait for nothing, then those that
-- waited before, then those that end because Retell has confirmed every deletion.
create function private.open_erasures(p_limit integer) returns table (organization_id uuid, erasure_id uuid)
language sql stable security definer set search_path = ''
as $$
  select e.organization_id, e.id
  from public.erasures e join public.organizations o on o.id = e.organization_id
  where e.finished_at is null and not o.legal_hold
    and (e.swept_at is null
      or not exists (select from public.erasure_calls c where c.erasure_id = e.id and c.confirmed_at is null))
  order by e.swept_at is not null, e.waiting_for is not null, e.requested_at
  limit p_limit
$$;
revoke all on function private.open_erasures(integer) from public;
grant execute on function private.open_erasures(integer) to outdial_jobs;

-- Calls of all organizations that are to be deleted at Retell now.
create function private.due_erasure_calls(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = ''
as $$
  select c.organization_id, c.id
  from public.erasure_calls c join public.organizations o on o.id = c.organization_id
  where c.confirmed_at is null and c.next_try_at <= p_now and not o.legal_hold
  order by c.next_try_at
  limit p_limit
$$;
revoke all on function private.due_erasure_calls(timestamptz, integer) from public;
grant execute on function private.due_erasure_calls(timestamptz, integer) to outdial_dialer;

-- Raises an error unless a job may sweep: its organization is declared and has no legal hold.
create function private.check_sweep(p_organization_id uuid) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if current_setting('role') <> 'service_role'
    and p_organization_id is distinct from private.current_organization() then
    raise exception 'a job sweeps the organization that it has declared' using errcode = 'insufficient_privilege';
  end if;
  perform from public.organizations o where o.id = p_organization_id and not o.legal_hold for share;
  if not found then
    raise exception 'the organization is under legal hold' using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$$;
revoke all on function private.check_sweep(uuid) from public;

-- Removes the bodies of events that matched no call or could not be read, and whose text mentions the person. The calls of
-- those that mention a number are deleted at Retell, too: an address alone may be in a call with someone else. Pending
-- events are left alone (see private.erasure_waits_for).
create function private.sweep_events(p_erasure_id uuid, p_numbers text[], p_now timestamptz)
returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  owner_id uuid;
  terms text[];
  event_ids bigint[];
begin
  select e.organization_id, e.terms into owner_id, terms from public.erasures e where e.id = p_erasure_id;
  perform private.check_sweep(owner_id);
  select coalesce(pg_catalog.array_agg(w.id order by w.id), '{}') into event_ids
  from public.webhook_events w
  where w.body_removed_at is null and w.status <> 'pending'
    and (w.organization_id is null
        and w.credential in (select a.credential from public.provider_accounts a where a.organization_id = owner_id)
      or w.organization_id = owner_id and w.status in ('unmatched', 'quarantined'))
    and private.mentions(pg_catalog.encode(w.body, 'escape'), p_numbers, terms);
  perform from public.webhook_events w where w.id = any (event_ids) order by w.id for update;
  insert into public.erasure_calls (organization_id, erasure_id, provider_account_id, retell_call_id, next_try_at)
  select distinct owner_id, p_erasure_id, a.id, w.retell_call_id, p_now
  from public.webhook_events w
  join public.provider_accounts a on a.credential = w.credential and a.organization_id = owner_id
  where w.id = any (event_ids) and w.retell_call_id <> ''
    and private.mentions(pg_catalog.encode(w.body, 'escape'), p_numbers, '{}')
  on conflict do nothing;
  update public.webhook_events w
  set body_removed_at = p_now
  where w.id = any (event_ids);
  return cardinality(event_ids);
end
$$;
revoke all on function private.sweep_events(uuid, text[], timestamptz) from public;
grant execute on function private.sweep_events(uuid, text[], timestamptz) to outdial_jobs;

-- Deletes the files of exports that contain the phone. A phone never spans two chunks, which end with a row.
create function private.sweep_exports(p_erasure_id uuid, p_now timestamptz) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  owner_id uuid;
  phone bytea;
  export_ids uuid[];
begin
  select e.organization_id, pg_catalog.convert_to(e.phone, 'UTF8') into owner_id, phone
  from public.erasures e where e.id = p_erasure_id;
  perform private.check_sweep(owner_id);
  select coalesce(pg_catalog.array_agg(distinct c.export_id), '{}') into export_ids
  from public.exports x join public.export_chunks c on c.export_id = x.id
  where x.organization_id = owner_id and position(phone in c.content) > 0;
  perform from public.exports x where x.id = any (export_ids) order by x.id for update;
  delete from public.export_chunks c where c.export_id = any (export_ids);
  update public.exports x set status = 'expired', updated_at = p_now
  where x.id = any (export_ids) and x.status = 'completed';
  return cardinality(export_ids);
end
$$;
revoke all on function private.sweep_exports(uuid, timestamptz) from public;
grant execute on function private.sweep_exports(uuid, timestamptz) to outdial_jobs;

-- Empties refused rows of imports, and deletes stored responses, that mention the person.
create function private.sweep_rows(p_erasure_id uuid, p_numbers text[]) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  owner_id uuid;
  terms text[];
  number_emptied bigint;
  number_deleted bigint;
begin
  select e.organization_id, e.terms into owner_id, terms from public.erasures e where e.id = p_erasure_id;
  perform private.check_sweep(owner_id);
  update public.import_refusals r
  set value = '', cells = '[]', reason = 'the contact was erased'
  from public.imports i
  where i.organization_id = owner_id and r.import_id = i.id
    and private.mentions(r.value || ' ' || r.cells::text || ' ' || r.reason, p_numbers, terms);
  get diagnostics number_emptied = row_count;
  delete from public.idempotency_keys k
  where k.organization_id = owner_id and private.mentions(k.answer::text || ' ' || k.key, p_numbers, terms);
  get diagnostics number_deleted = row_count;
  return number_emptied + number_deleted;
end
$$;
revoke all on function private.sweep_rows(uuid, text[]) from public;
grant execute on function private.sweep_rows(uuid, text[]) to outdial_jobs;

-- Deletes the opt-outs of the phone that the provider has confirmed.
create function private.sweep_opt_outs(p_erasure_id uuid) returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  owner_id uuid;
  number_deleted bigint;
begin
  select e.organization_id into owner_id from public.erasures e where e.id = p_erasure_id;
  perform private.check_sweep(owner_id);
  delete from public.opt_out_syncs s using public.erasures e
  where e.id = p_erasure_id and s.organization_id = owner_id and s.phone = e.phone and s.next_try_at is null;
  get diagnostics number_deleted = row_count;
  return number_deleted;
end
$$;
revoke all on function private.sweep_opt_outs(uuid) from public;
grant execute on function private.sweep_opt_outs(uuid) to outdial_jobs;

-- Replaces a pattern in a portion of the function logs after an id, and returns the last id of the portion, or null at
-- the end. Logs belong to no organization, so only the number is replaced.
create function private.sweep_logs(p_organization_id uuid, p_pattern text, p_after bigint, p_limit integer)
returns bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  last_id bigint;
begin
  perform private.check_sweep(p_organization_id);
  select max(n.id) into last_id from (
    (select l.id from host.log_lines l where l.id > p_after order by l.id limit p_limit)
    union all
    (select i.id from host.invocations i where i.id > p_after order by i.id limit p_limit)
    order by id
    limit p_limit
  ) n;
  update host.log_lines l
  set text = pg_catalog.regexp_replace(l.text, p_pattern, '[erased]', 'gi'),
    details = case when l.details::text ~* p_pattern then '{"erased": true}' else l.details end
  where l.id > p_after and l.id <= last_id and (l.text ~* p_pattern or l.details::text ~* p_pattern);
  update host.invocations i set path = pg_catalog.regexp_replace(i.path, p_pattern, '[erased]', 'gi')
  where i.id > p_after and i.id <= last_id and i.path ~* p_pattern;
  return last_id;
end
$$;
revoke all on function private.sweep_logs(uuid, text, bigint, integer) from public;
grant execute on function private.sweep_logs(uuid, text, bigint, integer) to outdial_jobs;

-- What keeps an erasure from being swept: an import that may still add its rows, an export that may still write them, an
-- event that is still to be applied, or an opt-out that the provider has not confirmed.
create function private.erasure_waits_for(p_erasure_id uuid, p_numbers text[]) returns text
language sql stable security definer set search_path = ''
as $$
  select w.what from (
    select 'the import of ' || i.file_name as what, i.created_at
    from public.erasures e
    join public.imports i on i.organization_id = e.organization_id and i.created_at <= e.requested_at
      and i.status in ('uploading', 'ready', 'queued', 'running', 'cancelling')
    where e.id = p_erasure_id
    union all
    select 'a running export', x.created_at
    from public.erasures e
    join public.exports x on x.organization_id = e.organization_id and x.status = 'running'
    where e.id = p_erasure_id
    union all
    select 'the do-not-call list of Retell, which does not have the number yet', e.requested_at
    from public.erasures e
    join public.opt_out_syncs s on s.organization_id = e.organization_id and s.phone = e.phone
      and s.next_try_at is not null
    where e.id = p_erasure_id
    union all
    select 'an event that is still to be applied', w.received_at
    from public.erasures e
    join public.webhook_events w on w.status = 'pending' and w.body_removed_at is null
      and (w.organization_id = e.organization_id or w.organization_id is null and w.credential in (
        select a.credential from public.provider_accounts a where a.organization_id = e.organization_id
      ))
    where e.id = p_erasure_id and private.mentions(pg_catalog.encode(w.body, 'escape'), p_numbers, e.terms)
  ) w
  order by w.created_at
  limit 1
$$;
revoke all on function private.erasure_waits_for(uuid, text[]) from public;
grant execute on function private.erasure_waits_for(uuid, text[]) to outdial_jobs;

-- An event without its body cannot be applied again.
create or replace function private.replay_events(
  p_organization_id uuid, p_first_id bigint, p_last_id bigint, p_status text, p_event text, p_limit integer,
  p_now timestamptz
) returns setof bigint
language plpgsql volatile security definer set search_path = ''
as $$
declare
  is_service boolean := current_setting('role') = 'service_role';
  is_admin boolean := is_service or p_organization_id = any (array(select private.my_organizations('admin')));
begin
  if not is_admin and not p_organization_id = any (array(select private.my_organizations('operator'))) then
    raise exception 'replaying events requires the role operator in the organization' using errcode = 'insufficient_privilege';
  end if;
  return query
    update public.webhook_events e
    set status = 'pending', next_try_at = p_now, tries = 0, error = null
    where e.id in (
      select w.id from public.webhook_events w
      where w.id between p_first_id and p_last_id and w.status in ('applied', 'unmatched', 'quarantined')
        and w.body_removed_at is null
        and (p_status is null or w.status = p_status)
        and (p_event is null or w.event = p_event)
        and (
          w.organization_id = p_organization_id
          or is_admin and w.organization_id is null and w.credential in (
            select a.credential from public.provider_accounts a where a.organization_id = p_organization_id
          )
        )
      order by w.id
      limit p_limit
      for update
    )
    returning e.id;
end
$$;

-- Likewise when the id of its call becomes known.
create or replace function private.reopen_unmatched(p_credential text, p_retell_call_ids text[], p_now timestamptz)
returns bigint
language sql volatile security definer set search_path = ''
as $$
  with reopened as (
    update public.webhook_events e
    set status = 'pending', next_try_at = p_now
    where e.id in (
      select u.id from public.webhook_events u
      where u.retell_call_id = any (p_retell_call_ids) and u.credential = p_credential and u.status = 'unmatched'
        and u.body_removed_at is null
      order by u.id
      for update
    )
    returning 1
  )
  select count(*) from reopened
$$;
