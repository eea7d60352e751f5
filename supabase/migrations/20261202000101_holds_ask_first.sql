-- A contact is decided without an analysis only after the reconciler has asked the provider about its call: after an outage
-- of ours, the analysis may be there and its webhooks lost. The function with two parameters is for processes of the
-- version before.

-- Calls of all organizations whose contacts have waited long enough, or wait in a campaign that is being cancelled. A call
-- that has a check due, was checked for the first time or again after p_asked_before, or has an event to apply waits on,
-- unless its hold has ended before p_unasked_before.
create function private.calls_to_decide(
  p_now timestamptz, p_asked_before timestamptz, p_unasked_before timestamptz, p_limit integer
) returns table (call_id uuid)
language sql stable security definer set search_path = ''
as $$
  select c.id
  from public.calls c
  where c.decides_at is not null
    and (exists (select from public.campaigns m where m.id = c.campaign_id and m.status = 'cancelling')
      or c.decides_at <= p_unasked_before
      or (c.decides_at <= p_now
        and (c.next_check_at is null or c.checks > 0 and c.next_check_at > p_now and c.updated_at <= p_asked_before)
        and not exists (select from public.webhook_events e where e.call_id = c.id and e.status = 'pending')))
  order by c.decides_at
  limit p_limit
$$;
revoke all on function private.calls_to_decide(timestamptz, timestamptz, timestamptz, integer) from public;
grant execute on function private.calls_to_decide(timestamptz, timestamptz, timestamptz, integer) to outdial_webhook;
