-- An opt-out ends calls for all purposes, or for one. It also revokes the contact's consents.

alter table public.do_not_call
  add column purpose text not null default 'any'
    check (purpose in ('any', 'sales', 'informational', 'survey', 'collection'));
-- squawk-ignore ban-drop-constraint
alter table public.do_not_call drop constraint do_not_call_pkey;
-- The table is locked while the key is built: about a second per million entries.
-- squawk-ignore adding-serial-primary-key-field, constraint-missing-not-valid
alter table public.do_not_call add primary key (organization_id, phone, purpose);

-- Before the insert, so that it also fires for an entry that exists already: a contact may have consented again since.
create function private.revoke_consents() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.consents c
  set revoked_at = greatest(new.created_at, c.given_at),
    revocation = case new.purpose when 'any' then 'opted out' else 'opted out of ' || new.purpose || ' calls' end
  where c.organization_id = new.organization_id and c.phone = new.phone and c.revoked_at is null
    and c.basis <> 'none' and (new.purpose = 'any' or c.scope = new.purpose);
  return new;
end
$$;
revoke all on function private.revoke_consents() from public;
create trigger do_not_call_revokes before insert on public.do_not_call
  for each row execute function private.revoke_consents();

-- An opt-out during a call ends calls for all purposes (US-REVOKE-ALL, in force from 2027-01-31).
drop policy webhook_inserts on public.do_not_call;
create policy webhook_inserts on public.do_not_call for insert to outdial_webhook
  with check (source = 'call' and purpose = 'any');
