-- Consents that contacts have given. Rows are evidence: they are never edited, only revoked.

create table public.consents (
  id uuid primary key,
  organization_id uuid not null,
  phone text not null check (phone ~ '^\+[1-9][0-9]{6,14}$'),
  -- `none` records that the contact refused.
  basis text not null check (basis in ('written', 'express', 'existing_business', 'none')),
  -- The purpose of the calls that the contact agreed to.
  scope text not null default 'any' check (scope in ('any', 'sales', 'informational', 'survey', 'collection')),
  source text check (length(source) between 1 and 200),
  text text check (length(text) between 1 and 10000),
  -- Pages link to it.
  url text check (url ~ '^https?://' and length(url) <= 2000),
  given_at timestamptz not null,
  revoked_at timestamptz check (revoked_at >= given_at),
  -- Why it was revoked.
  revocation text check (length(revocation) between 1 and 500),
  created_at timestamptz not null,
  constraint consents_evidence check (basis = 'none' or coalesce(source, text, url) is not null),
  foreign key (organization_id, phone) references public.contacts (organization_id, phone) on delete cascade
);
-- The same consent is stored once, however often its file is imported. A claim reads it by phone and organization.
create unique index consents_phone on public.consents
  (phone, organization_id, basis, scope, given_at, coalesce(source, ''), coalesce(url, ''), md5(coalesce(text, '')));

-- A revoked consent stays revoked.
create function private.check_consent() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if old.revoked_at is not null or new.revoked_at is null
    or pg_catalog.to_jsonb(new) - array['revoked_at', 'revocation']
      <> pg_catalog.to_jsonb(old) - array['revoked_at', 'revocation']
  then
    raise exception 'consent %: a consent can be revoked once, and is not changed otherwise', old.id
      using errcode = 'check_violation', constraint = 'consents_revoked_once';
  end if;
  return new;
end
$$;
revoke all on function private.check_consent() from public;
create trigger consents_revoked_once before update on public.consents
  for each row when (old is distinct from new) execute function private.check_consent();

-- Changes that members make with SQL directly are recorded at commit, as changes of the contact. The studio records its
-- own: one entry about the contact, also when a refusal revokes several consents.
create function private.audit_direct_consent() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  author text := coalesce((select auth.uid())::text, 'unknown');
begin
  insert into public.audit_log (organization_id, at, actor, action, subject_type, subject_id, details)
  select new.organization_id, pg_catalog.clock_timestamp(), author, 'change_consent_directly', 'contact', k.id::text,
    pg_catalog.jsonb_build_object('operation', lower(tg_op), 'consent_id', new.id, 'basis', new.basis,
      'scope', new.scope, 'given_at', new.given_at, 'revoked_at', new.revoked_at)
  from public.contacts k
  where k.organization_id = new.organization_id and k.phone = new.phone and not exists (
    select from public.audit_log a
    where a.organization_id = new.organization_id and a.subject_id = k.id::text
      and a.action in ('record_consent', 'revoke_consent')
      and a.at >= pg_catalog.transaction_timestamp() and a.actor = author
  );
  return null;
end
$$;
revoke all on function private.audit_direct_consent() from public;
-- An opt-out revokes consents as the owner of its function.
create constraint trigger consents_audited after insert or update on public.consents
  deferrable initially deferred for each row when (current_user = 'authenticated')
  execute function private.audit_direct_consent();

-- A contact that was skipped without consent, or because of a national or state list, is pending again when it gives
-- consent: the claim decides again. The campaigns are locked first, so that none completes meanwhile. The reasons are
-- those of outdial.domain.permission.consent and outdial.domain.permission.screening.
create function private.reopen_consenting_contacts() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  entered record;
begin
  for entered in
    select m.id from public.campaigns m
    where m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused') and m.id in (
      select cc.campaign_id
      from added a
      join public.contacts k on k.organization_id = a.organization_id and k.phone = a.phone
      join public.campaign_contacts cc on cc.contact_id = k.id and cc.status = 'skipped'
      where a.basis in ('written', 'express') and a.revoked_at is null
    )
    order by m.id for share
  loop
    with skipped as materialized (
      select cc.id, a.created_at
      from added a
      join public.contacts k on k.organization_id = a.organization_id and k.phone = a.phone
      join public.campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = entered.id and cc.status = 'skipped'
        and (cc.status_reason like 'no % consent for % calls on record' or cc.status_reason like 'on the % list of %')
      where a.basis in ('written', 'express') and a.revoked_at is null
      order by cc.id
      for update of cc
    )
    update public.campaign_contacts cc
    set status = 'pending', status_reason = null, updated_at = s.created_at
    from skipped s
    where cc.id = s.id;
  end loop;
  return null;
end
$$;
revoke all on function private.reopen_consenting_contacts() from public;
create trigger consents_reopen after insert on public.consents
  referencing new table as added for each statement execute function private.reopen_consenting_contacts();

revoke all on public.consents from anon, authenticated, service_role;
grant select, insert, update, delete on public.consents to service_role;

alter table public.consents enable row level security;
alter table public.consents force row level security;
grant select on public.consents to authenticated, outdial_dialer, outdial_jobs;
grant insert on public.consents to authenticated, outdial_jobs;
grant update (revoked_at, revocation) on public.consents to authenticated, outdial_jobs;
create policy members_read on public.consents for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.consents for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_update on public.consents for update to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))))
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy dialer_reads on public.consents for select to outdial_dialer
  using (organization_id = (select private.current_organization()));
create policy jobs_work on public.consents for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));
