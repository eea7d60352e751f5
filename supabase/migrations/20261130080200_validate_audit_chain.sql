-- Checks the rows that existed. It has a migration of its own so that writers do not wait for it.
alter table public.audit_chain validate constraint audit_chain_entry_id_fkey;
alter table public.audit_heads validate constraint audit_heads_organization_id_fkey;
