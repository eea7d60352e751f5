-- Bulk jobs without a campaign have no row that they are deleted with when their organization is. Validated in a later
-- migration.
alter table public.bulk_jobs
  add constraint bulk_jobs_organization_fkey
    foreign key (organization_id) references public.organizations (id) on delete cascade not valid;
