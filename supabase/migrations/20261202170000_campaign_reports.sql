-- What a campaign came to, added up once it has ended, and links with which it is shown to people without an account.

create table public.campaign_reports (
  campaign_id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- The shape of `report`: a report of another shape is added up again.
  format integer not null check (format > 0),
  computed_at timestamptz not null,
  -- Counts and sums. Of what the analysis of calls says, only values that at least three contacts have, and never a phone
  -- number of a contact: so an erasure has nothing to remove here.
  report jsonb not null,
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade
);
create index campaign_reports_organization on public.campaign_reports (organization_id, campaign_id);

revoke all on public.campaign_reports from anon, authenticated, service_role;
grant select, insert, update, delete on public.campaign_reports to service_role;
grant select on public.campaign_reports to authenticated;
grant select, insert, update (format, computed_at, report) on public.campaign_reports to outdial_jobs;
alter table public.campaign_reports enable row level security;
alter table public.campaign_reports force row level security;
create policy members_read on public.campaign_reports for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy jobs_work on public.campaign_reports for all to outdial_jobs
  using (organization_id = (select private.current_organization()))
  with check (organization_id = (select private.current_organization()));

create table public.report_links (
  id uuid primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  campaign_id uuid not null,
  -- The studio signs the id, and stores a hash of the signature: neither the database nor its secret is enough to make a
  -- link.
  token_sha256 bytea not null unique check (octet_length(token_sha256) = 32),
  created_by text not null check (created_by <> ''),
  created_at timestamptz not null,
  -- The most days are LONGEST_DAYS of the studio. An id fits one signature for ever, so its row must not last for ever.
  expires_at timestamptz not null check (expires_at > created_at and expires_at <= created_at + interval '90 days'),
  foreign key (organization_id, campaign_id) references public.campaigns (organization_id, id) on delete cascade
);
create index report_links_listed on public.report_links (campaign_id, created_at);
create index report_links_organization on public.report_links (organization_id, campaign_id);

revoke all on public.report_links from anon, authenticated, service_role;
grant select, insert, update, delete on public.report_links to service_role;
grant select, insert, delete on public.report_links to authenticated;
alter table public.report_links enable row level security;
alter table public.report_links force row level security;
create policy members_read on public.report_links for select to authenticated
  using (organization_id = any (array(select private.my_organizations())));
create policy operators_insert on public.report_links for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))));
create policy operators_delete on public.report_links for delete to authenticated
  using (organization_id = any (array(select private.my_organizations('operator'))));

-- A link is made by its caller, and not later than now: a later time would make it last for longer.
create function private.sign_report_link() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  new.created_by := private.caller_name(new.created_by);
  new.created_at := least(new.created_at, pg_catalog.clock_timestamp());
  return new;
end
$$;
revoke all on function private.sign_report_link() from public;
create trigger report_links_signed before insert on public.report_links
  for each row when (pg_catalog.current_setting('role') = 'authenticated') execute function private.sign_report_link();
create constraint trigger report_links_audited after insert or delete on public.report_links
  deferrable initially deferred for each row when (pg_catalog.current_setting('role') = 'authenticated')
  execute function private.audit_direct_change('report_link', 'campaign_id', 'campaign');

-- Campaigns of all organizations that have ended and whose report is missing, or was added up before late results were
-- in: costs come within minutes, and analyses and callbacks that members decide about within a day.
create function private.reports_to_compute(p_now timestamptz, p_format integer, p_limit integer)
returns table (organization_id uuid, campaign_id uuid)
language sql stable security definer set search_path = ''
as $$
  select m.organization_id, m.id
  from public.campaigns m left join public.campaign_reports r on r.campaign_id = m.id
  where m.status in ('completed', 'cancelled') and m.finished_at is not null
    and (
      -- During an upgrade, processes of the version before leave reports of a newer format alone.
      r.campaign_id is null or r.format < p_format
      or r.format = p_format and (
        r.computed_at < m.finished_at + interval '15 minutes' and p_now >= m.finished_at + interval '15 minutes'
        or r.computed_at < m.finished_at + interval '1 day' and p_now >= m.finished_at + interval '1 day'
      )
    )
  order by m.finished_at desc
  limit p_limit
$$;
revoke all on function private.reports_to_compute(timestamptz, integer, integer) from public;
grant execute on function private.reports_to_compute(timestamptz, integer, integer) to outdial_jobs;
