-- Contacts are added while claims run. A transaction that adds contacts holds the weakest lock of their campaign, which
-- conflicts with `for update` only, and a claim takes `for no key update`. A transaction that ends a campaign takes
-- `for update`, so no campaign ends while contacts are being added to it.

create or replace function private.check_open_campaign() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  entered record;
begin
  for entered in
    select c.id, c.status from public.campaigns c
    where c.id in (select a.campaign_id from added a where a.status in ('pending', 'calling'))
    order by c.id for key share
  loop
    if entered.status not in ('draft', 'scheduled', 'active', 'pausing', 'paused') then
      raise exception 'campaign % is % and takes no contacts', entered.id, entered.status
        using errcode = 'check_violation', constraint = 'campaign_contacts_open_campaign';
    end if;
  end loop;
  return null;
end
$$;

-- The lock waits for transactions that add contacts, and the statements after it see what these have added. The dialer
-- takes the lock before, where it is free (lock_to_end); dialers of earlier versions wait here.
create or replace function private.check_completed() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform from public.campaigns m where m.id = new.id for update;
  if exists (select from public.campaign_contacts cc where cc.campaign_id = new.id and cc.status = 'pending')
     or exists (select from public.campaign_contacts cc where cc.campaign_id = new.id and cc.status = 'calling') then
    raise exception 'campaign % still has contacts to call', new.id
      using errcode = 'check_violation', constraint = 'campaigns_' || new.status;
  end if;
  return new;
end
$$;
