-- Scans the table without blocking writes.

alter table public.saved_views validate constraint saved_views_list_check;
