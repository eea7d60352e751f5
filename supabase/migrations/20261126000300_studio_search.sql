-- What people look for in a campaign of a million contacts: a name, a number's beginning or end, a status, an outcome.
-- A migration runs in one transaction, so nothing here can be built concurrently: with a million contacts the tables are
-- locked for some seconds, and for the columns contacts is written anew.
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion, adding-field-with-default

-- Columns and not indexes on expressions: under row level security Postgres looks into an index with conditions that
-- cannot leak a row only, and lower() and reverse() do not count as such. "C" makes a prefix a range, whatever the
-- collation of the database.
alter table public.contacts
  add column name_key text collate "C" generated always as (lower(name)) stored,
  add column phone_reversed text collate "C" generated always as (reverse(phone)) stored;

-- A number's beginning is a range of contacts_organization_id_phone_key already.
create index contacts_name on public.contacts (organization_id, name_key) where name_key is not null;
create index contacts_phone_reversed on public.contacts (organization_id, phone_reversed);
create index contacts_external on public.contacts (organization_id, external_id) where external_id is not null;

-- In place of an index on the status alone: a page of one status begins where the last one ended. Without a status the
-- page is read through campaign_contacts_campaign_id_contact_id_key.
create index campaign_contacts_listed on public.campaign_contacts (campaign_id, status, contact_id);
drop index public.campaign_contacts_status;
create index campaign_contacts_next on public.campaign_contacts (campaign_id, next_attempt_at, id)
  where status = 'pending';
-- Written when a call has ended, never by an import.
create index campaign_contacts_outcome on public.campaign_contacts (campaign_id, last_outcome, contact_id)
  where last_outcome is not null;

create index calls_organization on public.calls (organization_id, created_at desc, id desc);
create index calls_outcome on public.calls (organization_id, outcome, created_at desc, id desc)
  where outcome is not null;
-- The few that somebody may look for among very many that went well.
create index calls_odd on public.calls (organization_id, created_at desc, id desc)
  where status in ('refused', 'unknown', 'released', 'review');

create index audit_log_subject on public.audit_log (organization_id, subject_id, id desc);
