-- An opt-out is noted on the entry of the same number whatever the moment, also when the entry is not committed yet.

-- The numbers that a transaction is adding to the do-not-call list. A row lives as long as a statement and no one sees it:
-- only its key makes others who add the same number wait until the transaction has ended. Advisory locks would fill the
-- table of locks when a list of 100,000 numbers is added.
create unlogged table private.do_not_call_turns (
  organization_id uuid not null,
  phone text not null,
  purpose text not null,
  primary key (organization_id, phone, purpose)
);
alter table private.do_not_call_turns enable row level security;
alter table private.do_not_call_turns force row level security;
create policy no_one_reads on private.do_not_call_turns for select using (false);

-- Before the insert, so that it also fires for an entry that exists already: "on conflict do nothing" forgets the second
-- request, and the undo of the first one would take the number off the list. The update is a statement of its own, so it
-- sees what another transaction has committed meanwhile. Jobs undo acts hours later, so no entry is too old.
create or replace function private.note_repeated_opt_out() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into private.do_not_call_turns (organization_id, phone, purpose)
  values (new.organization_id, new.phone, new.purpose)
  on conflict do nothing;
  delete from private.do_not_call_turns t
  where t.organization_id = new.organization_id and t.phone = new.phone and t.purpose = new.purpose;
  update public.do_not_call d set repeated_at = new.created_at
  where d.organization_id = new.organization_id and d.phone = new.phone and d.purpose = new.purpose
    and d.source = 'manual' and d.repeated_at is null
    and (d.created_at <> new.created_at or new.source <> 'manual');
  return new;
end
$$;
