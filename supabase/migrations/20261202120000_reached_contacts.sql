-- The contacts of campaigns by the outcome of their last call, for those that the caller may see: from an index alone,
-- because it checks no policy per row.

create function private.count_contacts_by_outcome(p_campaign_ids uuid[])
returns table (campaign_id uuid, outcome text, contacts bigint)
language plpgsql stable security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  visible uuid[] := array(select private.visible_campaigns(p_campaign_ids));
begin
  return query
    select cc.campaign_id, cc.last_outcome, count(*)
    from public.campaign_contacts cc
    where cc.campaign_id = any (visible) and cc.last_outcome is not null
    group by cc.campaign_id, cc.last_outcome;
end
$$;
revoke all on function private.count_contacts_by_outcome(uuid[]) from public;
grant execute on function private.count_contacts_by_outcome(uuid[]) to authenticated, service_role;
