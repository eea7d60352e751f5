-- Validated apart from its creation, which holds a stronger lock.

alter table public.bulk_jobs validate constraint bulk_jobs_action_check;
