-- Search in a campaign of a million contacts: by name, beginning or end of a number, status or outcome.
-- A migration runs in one transaction, so nothing here can be built concurrently. With a million contacts, the tables are
-- locked for some seconds, and the new columns rewrite contacts.
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion, adding-field-with-default

-- Columns instead of expression indexes: under row level security, Postgres uses an index only for leakproof conditions,
-- and lower() and reverse() are not leakproof. Collation "C" turns a prefix into a range, whatever the database's own
-- collation is.
alter table public.contacts
  add column name_key text collate "C" generated always as (lower(name)) stored,
  add column phone_reversed text collate "C" generated always as (reverse(phone)) stored;

-- The beginning of a number is already a range of contacts_organization_id_phone_key.
create index contacts_name on public.contacts (organization_id, name_key) where name_key is not null;
create index contacts_phone_reversed on public.contacts (organization_id, phone_reversed);
create index contacts_external on public.contacts (organization_id, external_id) where external_id is not null;

-- Replaces an index on the status alone, so that each page of one status starts where the previous one ended. Without a
-- status, pages are read through campaign_contacts_campaign_id_contact_id_key.
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
-- The few that need attention among very many that went well.
create index calls_odd on public.calls (organization_id, created_at desc, id desc)
  where status in ('refused', 'unknown', 'released', 'review');

create index audit_log_subject on public.audit_log (organization_id, subject_id, id desc);
