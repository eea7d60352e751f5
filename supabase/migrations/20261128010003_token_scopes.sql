-- Access tokens have scopes and may expire. Those created before keep every scope and do not expire.
alter table host.access_tokens
  add column scopes text[] not null default '{deploy,secrets,logs}'
    check (cardinality(scopes) > 0 and scopes <@ '{deploy,secrets,logs}'),
  add column expires_at timestamptz check (expires_at > created_at);
