-- Opt-outs reach the provider's own do-not-call list, which also stops calls that Outdial does not place, and come back
-- from there.

-- The next migration validates the new constraint.
-- squawk-ignore ban-drop-constraint
alter table public.do_not_call drop constraint do_not_call_source_check;
alter table public.do_not_call add constraint do_not_call_source_check
  check (source in ('manual', 'import', 'call', 'provider')) not valid;

-- One row for each opt-out and provider account: what the provider's list should say, until it is confirmed.
create table public.opt_out_syncs (
  organization_id uuid not null,
  provider_account_id uuid not null,
  phone text not null,
  do_not_call boolean not null,
  -- Whether Outdial has put the phone on the provider's list, and so may take it off again.
  is_ours boolean not null default false,
  -- When to tell the provider next. Null once it has confirmed.
  next_try_at timestamptz,
  tries integer not null default 0,
  error text,
  confirmed_at timestamptz,
  primary key (provider_account_id, phone),
  foreign key (organization_id, provider_account_id)
    references public.provider_accounts (organization_id, id) on delete cascade
);
create index opt_out_syncs_due on public.opt_out_syncs (next_try_at) where next_try_at is not null;
create index opt_out_syncs_phone on public.opt_out_syncs (organization_id, phone);

revoke all on public.opt_out_syncs from anon, authenticated, service_role;
grant select, insert, update, delete on public.opt_out_syncs to service_role;
grant select on public.opt_out_syncs to authenticated;
grant select on public.opt_out_syncs to outdial_dialer;
grant update (is_ours, next_try_at, tries, error, confirmed_at) on public.opt_out_syncs to outdial_dialer;
alter table public.opt_out_syncs enable row level security;
alter table public.opt_out_syncs force row level security;
create policy members_read on public.opt_out_syncs for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy dialer_works on public.opt_out_syncs for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

-- When the provider's list of an account is read next, and from which page on.
create table public.opt_out_reads (
  provider_account_id uuid primary key,
  organization_id uuid not null,
  next_read_at timestamptz not null,
  page text,
  read_at timestamptz,
  error text,
  foreign key (organization_id, provider_account_id)
    references public.provider_accounts (organization_id, id) on delete cascade
);
create index opt_out_reads_organization on public.opt_out_reads (organization_id, provider_account_id);

revoke all on public.opt_out_reads from anon, authenticated, service_role;
grant select, insert, update, delete on public.opt_out_reads to service_role;
grant select on public.opt_out_reads to authenticated;
grant select on public.opt_out_reads to outdial_dialer;
grant insert (provider_account_id, organization_id, next_read_at) on public.opt_out_reads to outdial_dialer;
grant update (next_read_at, page, read_at, error) on public.opt_out_reads to outdial_dialer;
alter table public.opt_out_reads enable row level security;
alter table public.opt_out_reads force row level security;
create policy members_read on public.opt_out_reads for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy dialer_works on public.opt_out_reads for all to outdial_dialer
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

-- An opt-out of all purposes goes to each account of the organization. So does one that a provider has reported: it
-- concerns the other accounts, too, and the first request of its own account confirms it.
create function private.queue_opt_outs() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.opt_out_syncs (organization_id, provider_account_id, phone, do_not_call, next_try_at)
  select d.organization_id, a.id, d.phone, true, d.created_at
  from added d join public.provider_accounts a on a.organization_id = d.organization_id
  where d.purpose = 'any'
  order by a.id, d.phone
  on conflict (provider_account_id, phone) do update
  set do_not_call = true, next_try_at = excluded.next_try_at, tries = 0, error = null;
  return null;
end
$$;
revoke all on function private.queue_opt_outs() from public;
create trigger do_not_call_queued after insert on public.do_not_call
  referencing new table as added for each statement execute function private.queue_opt_outs();

-- A phone that is taken off the list is taken off the provider's, if Outdial put it there. What the provider has put on
-- its list itself stays there.
create function private.withdraw_opt_outs() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from public.opt_out_syncs s using removed d
  where d.purpose = 'any' and s.organization_id = d.organization_id and s.phone = d.phone
    and not s.is_ours and s.next_try_at is not null;
  update public.opt_out_syncs s
  set do_not_call = false, next_try_at = '1970-01-01 00:00:00+00', tries = 0, error = null
  from removed d
  where d.purpose = 'any' and s.organization_id = d.organization_id and s.phone = d.phone and s.is_ours
    and s.do_not_call;
  return null;
end
$$;
revoke all on function private.withdraw_opt_outs() from public;
create trigger do_not_call_withdrawn after delete on public.do_not_call
  referencing old table as removed for each statement execute function private.withdraw_opt_outs();

-- A new account learns of the opt-outs from before it.
create function private.queue_known_opt_outs() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.opt_out_syncs (organization_id, provider_account_id, phone, do_not_call, next_try_at)
  select d.organization_id, new.id, d.phone, true, d.created_at
  from public.do_not_call d where d.organization_id = new.organization_id and d.purpose = 'any'
  on conflict do nothing;
  return null;
end
$$;
revoke all on function private.queue_known_opt_outs() from public;
create trigger provider_accounts_opt_outs after insert on public.provider_accounts
  for each row execute function private.queue_known_opt_outs();

insert into public.opt_out_syncs (organization_id, provider_account_id, phone, do_not_call, next_try_at)
select d.organization_id, a.id, d.phone, true, d.created_at
from public.do_not_call d join public.provider_accounts a on a.organization_id = d.organization_id
where d.purpose = 'any';

-- Opt-outs of all organizations that are due, oldest first.
create function private.opt_outs_to_send(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, provider_account_id uuid, phone text)
language sql stable security definer set search_path = ''
as $$
  select s.organization_id, s.provider_account_id, s.phone
  from public.opt_out_syncs s
  where s.next_try_at <= p_now
  order by s.next_try_at
  limit p_limit
$$;
revoke all on function private.opt_outs_to_send(timestamptz, integer) from public;
grant execute on function private.opt_outs_to_send(timestamptz, integer) to outdial_dialer;

-- Accounts of all organizations whose list is due to be read.
create function private.opt_out_reads_due(p_now timestamptz, p_limit integer)
returns table (organization_id uuid, provider_account_id uuid, credential text)
language sql stable security definer set search_path = ''
as $$
  select a.organization_id, a.id, a.credential
  from public.provider_accounts a left join public.opt_out_reads r on r.provider_account_id = a.id
  where r.next_read_at is null or r.next_read_at <= p_now
  order by r.next_read_at nulls first, a.id
  limit p_limit
$$;
revoke all on function private.opt_out_reads_due(timestamptz, integer) from public;
grant execute on function private.opt_out_reads_due(timestamptz, integer) to outdial_dialer;

-- Stores opt-outs that the provider reports at `p_read_at`, and returns those that are new. Only contacts of the
-- organization are stored: others are never called, and an erased phone must not come back. What Outdial has sent to
-- the provider is no report. The lock on the contact makes an erasure wait, or this function for the erasure.
create function private.import_opt_outs(
  p_organization_id uuid, p_provider_account_id uuid, p_phones text[], p_read_at timestamptz, p_now timestamptz
) returns setof text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_organization_id is distinct from private.current_organization() then
    raise exception 'opt-outs are stored for the organization that the transaction has declared'
      using errcode = 'insufficient_privilege';
  end if;
  return query
    with known as materialized (
      select k.phone from public.contacts k
      where k.organization_id = p_organization_id and k.phone = any (p_phones)
        and not exists (
          select from public.opt_out_syncs s
          where s.provider_account_id = p_provider_account_id and s.phone = k.phone
            and (s.do_not_call or s.next_try_at is not null or s.confirmed_at >= p_read_at)
        )
      order by k.id
      for share
    )
    insert into public.do_not_call as d (organization_id, phone, purpose, source, reason, created_at)
    select p_organization_id, n.phone, 'any', 'provider', 'on the do-not-call list of Retell', p_now from known n
    order by n.phone
    on conflict do nothing
    returning d.phone;
end
$$;
revoke all on function private.import_opt_outs(uuid, uuid, text[], timestamptz, timestamptz) from public;
grant execute on function private.import_opt_outs(uuid, uuid, text[], timestamptz, timestamptz) to outdial_dialer;
