-- Responses by idempotency key, so that a repeated request creates nothing twice.

create table public.idempotency_keys (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- A user id, or `service` for requests with the secret key. Callers never see each other's keys.
  caller text not null check (caller <> ''),
  key text not null check (length(key) between 1 and 200),
  -- Hash of the request's method, path and body. Reusing a key for a different request is an error.
  request_sha256 bytea not null check (length(request_sha256) = 32),
  -- The first response. Empty only inside the transaction that creates the object.
  answer_status integer check (answer_status between 200 and 299),
  answer jsonb,
  created_at timestamptz not null,
  primary key (organization_id, caller, key)
);

revoke all on public.idempotency_keys from anon, authenticated, service_role;
grant select, insert, update, delete on public.idempotency_keys to service_role;

alter table public.idempotency_keys enable row level security;
alter table public.idempotency_keys force row level security;
grant select, insert, delete on public.idempotency_keys to authenticated;
grant update (answer_status, answer) on public.idempotency_keys to authenticated;
create policy callers_read on public.idempotency_keys for select to authenticated
  using (
    organization_id = any (array(select private.my_organizations())) and caller = (select auth.uid())::text
  );
create policy callers_insert on public.idempotency_keys for insert to authenticated
  with check (
    organization_id = any (array(select private.my_organizations())) and caller = (select auth.uid())::text
  );
create policy callers_update on public.idempotency_keys for update to authenticated
  using (
    organization_id = any (array(select private.my_organizations())) and caller = (select auth.uid())::text
  )
  with check (
    organization_id = any (array(select private.my_organizations())) and caller = (select auth.uid())::text
  );
create policy callers_delete on public.idempotency_keys for delete to authenticated
  using (
    organization_id = any (array(select private.my_organizations())) and caller = (select auth.uid())::text
  );
