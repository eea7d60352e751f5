-- Scans the table without blocking writes.

alter table public.bulk_jobs validate constraint bulk_jobs_action_check;
alter table public.bulk_jobs validate constraint bulk_jobs_campaign_check;
alter table public.bulk_jobs validate constraint bulk_jobs_organization_fkey;
