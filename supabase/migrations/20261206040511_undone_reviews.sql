-- Marking many calls as reviewed is an act that can be undone. It has the ids of its calls and the times of their marks, by
-- which an undo finds those that no member has replaced since.

-- Validated in a later migration.
-- squawk-ignore ban-drop-constraint
alter table public.undoable_acts drop constraint undoable_acts_kind_check;
alter table public.undoable_acts
  add constraint undoable_acts_kind_check check (
    kind in ('skip', 'retry', 'decide', 'block', 'pause', 'resume', 'list', 'unlist', 'end_callback', 'review')
  ) not valid;

-- As mark_calls_reviewed, which processes of the version before use, and stores in the act which calls it has marked. A
-- job with too many calls to be undone, or whose act is forgotten, has none.
create function private.mark_calls_of_act(
  p_organization_id uuid, p_act_id uuid, p_ids uuid[], p_by text, p_note text, p_now timestamptz
) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  marked uuid[];
begin
  perform private.check_operates(p_organization_id, 'reviewing calls');
  perform from public.undoable_acts a
  where a.id = p_act_id and a.organization_id = p_organization_id and a.kind = 'review'
  for update;
  select pg_catalog.array_agg(m) into marked
  from private.mark_calls_reviewed(p_organization_id, p_ids, p_by, p_note, p_now) m;
  update public.undoable_acts a set former = a.former || (
    select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('call', r.call_id, 'at', r.reviewed_at))
    from public.call_reviews r where r.organization_id = p_organization_id and r.call_id = any (marked)
  )
  where a.id = p_act_id and a.organization_id = p_organization_id and a.kind = 'review' and marked is not null;
  return query select pg_catalog.unnest(marked);
end
$$;
revoke all on function private.mark_calls_of_act(uuid, uuid, uuid[], text, text, timestamptz) from public;
grant execute on function private.mark_calls_of_act(uuid, uuid, uuid[], text, text, timestamptz)
  to authenticated, service_role, outdial_jobs;

-- Removes the marks of an act that are as it has left them, and returns their calls.
create function private.unmark_calls(p_organization_id uuid, p_act_id uuid) returns setof uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.check_operates(p_organization_id, 'undoing an act');
  return query
    delete from public.call_reviews r
    using public.undoable_acts a, pg_catalog.jsonb_to_recordset(a.former) as f (call uuid, at timestamptz)
    where a.id = p_act_id and a.organization_id = p_organization_id and a.kind = 'review'
      and r.organization_id = p_organization_id and r.call_id = f.call and r.reviewed_at = f.at
    returning r.call_id;
end
$$;
revoke all on function private.unmark_calls(uuid, uuid) from public;
grant execute on function private.unmark_calls(uuid, uuid) to authenticated, service_role;
