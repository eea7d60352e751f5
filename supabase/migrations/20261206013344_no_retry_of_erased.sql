-- A contact that is erased while it is to be called again stays finished. What the caller has read of it may be from before
-- the erasure; the row that is locked here is not.

create or replace function private.retry_contacts(
  p_organization_id uuid, p_ids uuid[], p_call_at timestamptz, p_reason text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'calling contacts again');
  perform from public.campaigns m
  where m.organization_id = p_organization_id
    and m.id in (select cc.campaign_id from public.campaign_contacts cc where cc.id = any (p_ids))
  order by m.id for no key update;
  return query
    with finished as materialized (
      select cc.id
      from public.campaign_contacts cc join public.campaigns m on m.id = cc.campaign_id
      where cc.id = any (p_ids) and cc.organization_id = p_organization_id
        and m.status in ('draft', 'scheduled', 'active', 'pausing', 'paused')
        and cc.status in ('completed', 'failed', 'skipped') and cc.phone not like 'erased:%'
      order by cc.id
      for update of cc
    )
    update public.campaign_contacts cc
    set status = 'pending', status_reason = p_reason, attempts = 0, faults = 0, earlier_calls = cc.call_count,
      decided_calls = cc.call_count, callbacks = 0, callback_at = null, part_due_since = null,
      rank = case when cc.callback_at is null then cc.rank else 5 end, next_attempt_at = p_call_at,
      reentered_at = p_now, updated_at = p_now
    from finished f
    where cc.id = f.id and cc.status in ('completed', 'failed', 'skipped')
    returning cc.id;
end
$$;
