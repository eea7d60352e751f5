-- Contacts can be read and written during the validation.
alter table public.contacts validate constraint contacts_zone_source_check;
