-- Campaigns that the dialer cannot work on show it, and the database checks calling hours and retry policies itself.

-- How often the dialer failed on the campaign in a row, and why.
alter table public.campaigns
  add column failures integer not null default 0,
  add column failing_reason text;
grant update (failures, failing_reason) on public.campaigns to outdial_dialer;

-- Dialers of earlier versions select columns that are still there.
-- squawk-ignore ban-drop-function
drop function private.due_campaigns(timestamptz, integer, uuid[]);
create function private.due_campaigns(p_now timestamptz, p_limit integer, p_named uuid[])
returns table (organization_id uuid, provider_account_id uuid, campaign_id uuid, status text, failures integer)
language sql stable security definer set search_path = ''
as $$
  with due as (
    select c.organization_id, c.provider_account_id, c.id, c.status, c.failures, c.next_batch_at,
      row_number() over (partition by c.provider_account_id order by c.next_batch_at) as account_turn
    from public.campaigns c
    where c.status in ('active', 'pausing', 'cancelling') and c.next_batch_at <= p_now
  ), in_turn as (
    select d.*, row_number() over (partition by d.organization_id order by d.account_turn, d.next_batch_at) as turn
    from due d
    order by turn, d.next_batch_at
    limit p_limit
  )
  select d.organization_id, d.provider_account_id, d.id, d.status, d.failures
  from (
    select t.organization_id, t.provider_account_id, t.id, t.status, t.failures, t.next_batch_at, t.turn from in_turn t
    union all
    select c.organization_id, c.provider_account_id, c.id, c.status, c.failures, c.next_batch_at, 1
    from public.campaigns c
    where c.status in ('active', 'pausing', 'cancelling') and c.id = any (p_named)
      and not exists (select from in_turn t where t.id = c.id)
  ) d
  order by d.turn, d.next_batch_at
$$;
revoke all on function private.due_campaigns(timestamptz, integer, uuid[]) from public;
grant execute on function private.due_campaigns(timestamptz, integer, uuid[]) to outdial_dialer;

-- The checks of outdial.domain.calling_hours and outdial.domain.retry. Each returns what is wrong, or null.
create function private.windows_problem(p_windows jsonb) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  v_window jsonb;
begin
  if jsonb_typeof(p_windows) <> 'array' then
    return 'must be a list of windows, such as [["09:00", "20:00"]]';
  end if;
  for v_window in select w.value from jsonb_array_elements(p_windows) as w loop
    if jsonb_typeof(v_window) <> 'array' or jsonb_array_length(v_window) <> 2
      or jsonb_typeof(v_window -> 0) <> 'string' or jsonb_typeof(v_window -> 1) <> 'string'
      or (v_window ->> 0) !~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
      or (v_window ->> 1) !~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
    then
      return v_window::text || ' is not a window; write it as ["09:00", "20:00"]';
    end if;
    if (v_window ->> 0) collate "C" >= v_window ->> 1 then
      return 'a window must end after it starts, on the same day; split one that crosses midnight in two';
    end if;
  end loop;
  if exists (
    select from (
      select w.value ->> 0 as begins,
        lag(w.value ->> 1) over (order by (w.value ->> 0) collate "C") as before
      from jsonb_array_elements(p_windows) as w
    ) n
    where n.begins collate "C" < n.before
  ) then
    return 'two windows overlap; merge them';
  end if;
  return null;
end
$$;

create function private.dates_problem(p_dates jsonb) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  v_date jsonb;
  v_text text;
begin
  if jsonb_typeof(p_dates) <> 'array' then
    return 'must be a list of dates, such as ["2026-12-25"]';
  end if;
  for v_date in select d.value from jsonb_array_elements(p_dates) as d loop
    v_text := v_date #>> '{}';
    if jsonb_typeof(v_date) <> 'string' or v_text !~ '^[0-9]{4}-(0[1-9]|1[0-2])-[0-9]{2}$' or left(v_text, 4) = '0000'
      or right(v_text, 2)::integer not between 1 and extract(day from
        make_date(left(v_text, 4)::integer, substr(v_text, 6, 2)::integer, 1) + interval '1 month - 1 day')
    then
      return v_date::text || ' is not a date; write it as 2026-12-25';
    end if;
  end loop;
  return null;
end
$$;

create function private.calling_hours_problem(p_hours jsonb) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  v_key text;
  v_value jsonb;
  v_problem text;
begin
  if jsonb_typeof(p_hours) <> 'object' then
    return 'must be an object, such as {"monday": [["09:00", "20:00"]]}';
  end if;
  for v_key, v_value in select e.key, e.value from jsonb_each(p_hours) as e loop
    if v_key = 'excluded_dates' then
      v_problem := private.dates_problem(v_value);
    elsif v_key in ('every_day', 'weekdays', 'weekend', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday',
      'saturday', 'sunday')
    then
      v_problem := private.windows_problem(v_value);
    else
      return 'unknown key ' || quote_literal(v_key) || '; use days such as ''monday'' or ''weekdays''';
    end if;
    if v_problem is not null then
      return v_key || ': ' || v_problem;
    end if;
  end loop;
  if p_hours - 'excluded_dates' <> '{}' and not exists (
    select from unnest(array['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'],
      array['weekdays', 'weekdays', 'weekdays', 'weekdays', 'weekdays', 'weekend', 'weekend']) as d (day, part)
    where coalesce(p_hours -> d.day, p_hours -> d.part, p_hours -> 'every_day', '[]') <> '[]'
  ) then
    return 'no day has a window, so no contact could ever be called; open at least one day';
  end if;
  return null;
end
$$;

-- The seconds of a duration, or null for anything else.
create function private.duration_s(p_duration jsonb) returns bigint
language plpgsql immutable set search_path = ''
as $$
declare
  v_text text := p_duration #>> '{}';
  v_seconds bigint;
begin
  if jsonb_typeof(p_duration) = 'number' and v_text ~ '^[0-9]{1,9}$' then
    v_seconds := v_text::bigint;
  elsif jsonb_typeof(p_duration) = 'string' and v_text ~ '^[0-9]{1,9}[smhd]$' then
    v_seconds := left(v_text, -1)::bigint
      * case right(v_text, 1) when 's' then 1 when 'm' then 60 when 'h' then 3600 else 86400 end;
  end if;
  return case when v_seconds between 1 and 30 * 86400 then v_seconds end;
end
$$;

create function private.is_retry_count(p_count jsonb) returns boolean
language sql immutable set search_path = ''
as $$
  select jsonb_typeof(p_count) = 'number' and p_count::text ~ '^[0-9]{1,3}$'
    and p_count::text::integer between 1 and 100
$$;

create function private.retry_rule_problem(p_rule jsonb) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  v_key text;
  v_value jsonb;
begin
  if jsonb_typeof(p_rule) <> 'object' then
    return 'must be an object, such as {"delays": ["30m"], "max_attempts": 3}';
  end if;
  for v_key, v_value in select e.key, e.value from jsonb_each(p_rule) as e loop
    if v_key = 'max_attempts' then
      if not private.is_retry_count(v_value) then
        return 'max_attempts must be a whole number from 1 to 100';
      end if;
    elsif v_key <> 'delays' then
      return 'unknown key ' || quote_literal(v_key) || '; use delays, max_attempts';
    elsif jsonb_typeof(v_value) <> 'array' or jsonb_array_length(v_value) = 0 or exists (
      select from jsonb_array_elements(v_value) as d where private.duration_s(d.value) is null
    ) then
      return 'delays must be a list of durations up to 30d, such as ["30m", "2h", "1d"]';
    end if;
  end loop;
  return null;
end
$$;

create function private.retry_policy_problem(p_policy jsonb) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  v_key text;
  v_value jsonb;
  v_problem text;
begin
  if jsonb_typeof(p_policy) <> 'object' then
    return 'must be an object, such as {"no_answer": {"delays": ["30m"]}}';
  end if;
  for v_key, v_value in select e.key, e.value from jsonb_each(p_policy) as e loop
    if v_key in ('no_answer', 'busy', 'voicemail', 'ivr', 'declined') then
      v_problem := private.retry_rule_problem(v_value);
      if v_problem is not null then
        return v_key || ': ' || v_problem;
      end if;
    elsif v_key in ('fault_delay', 'fault_delay_max') then
      if private.duration_s(v_value) is null then
        return v_key || ': write a duration as 90s, 30m, 2h or 1d, up to 30d';
      end if;
    elsif v_key = 'max_faults' then
      if not private.is_retry_count(v_value) then
        return 'max_faults must be a whole number from 1 to 100';
      end if;
    elsif v_key = 'jitter' then
      if jsonb_typeof(v_value) <> 'number' or v_value::text::numeric not between 0 and 1 then
        return 'jitter must be a number from 0 to 1';
      end if;
    else
      return 'unknown key ' || quote_literal(v_key)
        || '; use busy, declined, fault_delay, fault_delay_max, ivr, jitter, max_faults, no_answer, voicemail';
    end if;
  end loop;
  if p_policy ? 'fault_delay_max'
    and private.duration_s(p_policy -> 'fault_delay_max')
      < coalesce(private.duration_s(p_policy -> 'fault_delay'), 60)
  then
    return 'fault_delay_max: must be at least as long as fault_delay';
  end if;
  return null;
end
$$;

-- A trigger instead of a constraint: a campaign that is invalid already can still be paused, cancelled and fixed.
create function private.check_campaign_settings() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_problem text := coalesce('calling_hours: ' || private.calling_hours_problem(new.calling_hours),
    'retry_policy: ' || private.retry_policy_problem(new.retry_policy));
begin
  if v_problem is not null then
    raise exception using errcode = 'check_violation', message = v_problem;
  end if;
  return new;
end
$$;
revoke all on function private.windows_problem(jsonb), private.dates_problem(jsonb),
  private.calling_hours_problem(jsonb), private.duration_s(jsonb), private.is_retry_count(jsonb),
  private.retry_rule_problem(jsonb), private.retry_policy_problem(jsonb), private.check_campaign_settings() from public;
create trigger campaigns_settings before insert or update of calling_hours, retry_policy on public.campaigns
  for each row execute function private.check_campaign_settings();
