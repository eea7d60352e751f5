-- API keys of Retell workspaces that members have entered.

-- name: show_provider_keys
-- returns: list[AccountKeyRow]
-- row: A Retell workspace with what may be shown of its key.
-- null: environment_key_at, key_id, last_four, workspace_name, entered_by, entered_at, tested_at, former_until, last_event_at
-- null: dialer_read_at, dialer_unreadable_at, webhook_read_at, webhook_unreadable_at
-- Read the accounts of an organization with their keys, oldest first. `server_workspaces` are those of the keys on the
-- server, if they differ; Retell has not named an empty one. `last_event_at` is that of the account's last webhook
-- among the newest events.
select a.id as account_id, a.name as account_name, a.credential, a.environment_key_at,
  k.id as key_id, k.last_four, k.workspace_name, k.entered_by, k.entered_at, k.tested_at,
  k.dialer_read_at, k.dialer_unreadable_at, k.webhook_read_at, k.webhook_unreadable_at,
  coalesce((select array_agg(w.workspace_name order by nullif(w.workspace_name, '')) from (
    select distinct on (coalesce(e.workspace_id, e.first_reported_at::text)) e.workspace_name from environment_keys e
    where a.keys_differ_since is not null and e.provider_account_id = a.id and e.organization_id = a.organization_id
      and e.reported_at > :now::timestamptz - interval '15 minutes'
  ) w), '{}') as server_workspaces,
  (select max(f.accepted_until) from provider_keys f
    where f.provider_account_id = a.id and f.organization_id = a.organization_id and f.accepted_until > :now)
    as former_until,
  (select e.received_at from (
      select w.id, w.received_at, w.credential, w.source from webhook_events w
      where w.organization_id = a.organization_id order by w.id desc limit 1000
    ) e where e.source = 'webhook' and e.credential = a.credential order by e.id desc limit 1) as last_event_at
from provider_accounts a
left join provider_keys k on k.provider_account_id = a.id and k.accepted_until is null
where a.organization_id = :organization_id
order by a.created_at, a.id;

-- name: provider_keys_in_use
-- returns: list[SealedKeyRow]
-- row: A stored key, encrypted.
-- null: accepted_until
-- secret: ciphertext
-- Read all stored keys, oldest first: those in use, and former ones whose webhooks are still accepted.
select id, organization_id, provider_account_id, credential, ciphertext, accepted_until
from private.provider_keys_in_use(:now);

-- name: last_four_in_use
-- returns: str | None
-- Return the last characters of the key that an account uses; None without one.
select last_four from provider_keys
where organization_id = :organization_id and provider_account_id = :provider_account_id and accepted_until is null;

-- name: insert_provider_key!
-- null: :workspace_id
-- Insert the key of an account.
insert into provider_keys (id, organization_id, provider_account_id, ciphertext, last_four, workspace_id,
  workspace_name, entered_by, entered_at, tested_at)
values (:id, :organization_id, :provider_account_id, :ciphertext, :last_four, :workspace_id,
  :workspace_name, :entered_by, :now, :tested_at);

-- name: end_provider_keys!
-- End the use of the account's key. With `ends_former`, former keys end at the same time.
update provider_keys set accepted_until = :accepted_until
where organization_id = :organization_id and provider_account_id = :provider_account_id
  and (accepted_until is null or :ends_former and accepted_until > :accepted_until);

-- name: end_former_keys!
-- End the former keys of an account whose webhooks are still accepted.
update provider_keys set accepted_until = :now
where organization_id = :organization_id and provider_account_id = :provider_account_id and accepted_until > :now;

-- name: account_with_environment_key
-- returns: str | None
-- Return the credential of an account if a dialer has reported a key for it since then.
select credential from provider_accounts
where id = :id and organization_id = :organization_id and environment_key_at >= :since;

-- name: workspace_in_use
-- returns: bool
-- Return whether another account calls with a key of this workspace.
select private.workspace_in_use(:organization_id, :provider_account_id, :workspace_id, :since) as is_in_use;

-- name: report_environment_keys
-- returns: list[str]
-- null: :workspace_ids[]
-- Store which accounts have a key in the environment of this dialer, with the workspaces of the keys where they are known.
-- Returns the credentials for which dialers have keys of different workspaces.
select private.report_environment_keys(:credentials, :workspace_ids, :workspace_names, :fingerprints, :now) as credential;

-- name: report_stored_keys
-- returns: None
-- Store that this dialer begins to use the stored keys of accounts.
select private.report_stored_keys(:provider_account_ids, :now);

-- name: report_key_readings
-- returns: None
-- Store which keys a dialer or the webhook function can decrypt, and which not.
select private.report_key_readings(:by_webhooks, :read, :unreadable, :now);

-- name: reencrypt_provider_key
-- returns: bool
-- Replace the encryption of a key, unless it has changed meanwhile.
select private.reencrypt_provider_key(:id, :former, :ciphertext) as is_changed;
