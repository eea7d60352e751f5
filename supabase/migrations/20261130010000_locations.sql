-- What decided a contact's time zones: more sources than the contact's own zone and its number.

-- Validated in a later migration, because reading all contacts under the lock of this one would stop the imports.
alter table public.contacts drop constraint contacts_zone_source_check;
alter table public.contacts add constraint contacts_zone_source_check
  check (zone_source in ('contact', 'number', 'region', 'postal_code', 'country', 'conflict')) not valid;
