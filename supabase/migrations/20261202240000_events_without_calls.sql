-- An event that waits to be applied may not be matched to its call yet: it is found by the provider's name of the call.
create or replace function private.calls_to_decide(
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
        and not exists (select from public.webhook_events e where e.call_id = c.id and e.status = 'pending')
        -- Apart from the line above, so that each has its index.
        and not exists (
          select from public.webhook_events e where e.retell_call_id = c.retell_call_id and e.status = 'pending'
        )))
  order by c.decides_at
  limit p_limit
$$;
