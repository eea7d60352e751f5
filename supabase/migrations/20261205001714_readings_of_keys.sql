-- Dialers and the webhook function report whether they can decrypt each stored key: the studio cannot know their environment.
-- They report that of keys in use every half a minute, the webhook function while events arrive.

alter table public.provider_keys
  add column dialer_read_at timestamptz,
  add column dialer_unreadable_at timestamptz,
  add column webhook_read_at timestamptz,
  add column webhook_unreadable_at timestamptz;
grant select (dialer_read_at, dialer_unreadable_at, webhook_read_at, webhook_unreadable_at) on public.provider_keys
  to authenticated, service_role;

-- A report changes no key: processes need not read the keys again.
drop trigger provider_keys_changed on public.provider_keys;
create trigger provider_keys_changed
  after insert or delete or update of ciphertext, accepted_until on public.provider_keys
  for each row execute function private.notify_provider_keys();

-- Reports of two processes do not wait for each other: one of them is enough.
create function private.report_key_readings(
  p_by_webhooks boolean, p_read uuid[], p_unreadable uuid[], p_now timestamptz
) returns void
language sql volatile security definer set search_path = ''
as $$
  with reported as (
    select k.id, k.id = any (p_read) as is_read from public.provider_keys k
    where k.id = any (p_read || p_unreadable) and k.accepted_until is null
    order by k.id
    for no key update skip locked
  )
  update public.provider_keys k
  set dialer_read_at = case when r.is_read and not p_by_webhooks then p_now else k.dialer_read_at end,
    dialer_unreadable_at = case when not r.is_read and not p_by_webhooks then p_now else k.dialer_unreadable_at end,
    webhook_read_at = case when r.is_read and p_by_webhooks then p_now else k.webhook_read_at end,
    webhook_unreadable_at = case when not r.is_read and p_by_webhooks then p_now else k.webhook_unreadable_at end
  from reported r
  where k.id = r.id
$$;
revoke all on function private.report_key_readings(boolean, uuid[], uuid[], timestamptz) from public;
grant execute on function private.report_key_readings(boolean, uuid[], uuid[], timestamptz)
  to outdial_dialer, outdial_webhook;

-- Dialers of the version before log that they cannot report.
-- squawk-ignore ban-drop-function
drop function private.report_unreadable_keys(uuid[], timestamptz);
