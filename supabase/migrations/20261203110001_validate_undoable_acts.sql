-- Validated apart from their creation, which holds a stronger lock.

alter table public.bulk_jobs validate constraint bulk_jobs_action_check;
alter table public.bulk_jobs validate constraint bulk_jobs_undoes_check;
