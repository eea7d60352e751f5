-- Apart from the migration that adds the constraint, because validation reads the table.
alter table public.campaigns validate constraint campaigns_archived;
