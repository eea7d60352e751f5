-- The end report of a campaign: what is counted of it, and what is stored.

-- name: report_campaign
-- returns: ReportCampaign | None
-- row: A campaign as its report names it.
-- null: started_at, finished_at
-- Read the campaign of a report.
select id, name, status, started_at, finished_at from campaigns where id = :campaign_id;

-- name: has_more_contacts
-- returns: bool
-- Return whether a campaign has more contacts than a number.
select exists (select from campaign_contacts where campaign_id = :campaign_id offset :most::bigint) as id;

-- name: report_contacts
-- returns: list[ReportContacts]
-- row: Contacts of a campaign with one status, reason and last outcome. `by_member`: a member has decided that they are
-- row: completed, and they were not called since.
-- null: reason, last_outcome
-- plan: custom
-- Count the contacts of a campaign. A contact is reached if a person was reached in one of its calls.
select cc.status, cc.status_reason as reason, cc.last_outcome, r.campaign_contact_id is not null as is_reached,
  cc.status = 'completed' and coalesce(cc.decision = 'completed', false) and cc.decided_calls = cc.call_count
    as by_member,
  count(*) as contacts
from campaign_contacts cc
left join (
  select distinct campaign_contact_id from calls
  where campaign_id = :campaign_id and outcome = any (:reached::text[])
) r on r.campaign_contact_id = cc.id
where cc.campaign_id = :campaign_id
group by 1, 2, 3, 4, 5;

-- name: erased_not_reached
-- returns: int
-- plan: custom
-- Count the erased contacts that a report counts as not reached. Their phones begin with a word, which sorts after all
-- numbers.
select count(*) as id
from contacts k join campaign_contacts cc on cc.contact_id = k.id and cc.campaign_id = :campaign_id
where k.organization_id = :organization_id and k.phone >= 'e' and k.erased_at is not null
  and (cc.status = 'failed' or cc.status = 'completed'
    and (cc.decision is distinct from 'completed' or cc.decided_calls < cc.call_count))
  and not exists (select from calls r where r.campaign_contact_id = cc.id and r.outcome = any (:reached::text[]));

-- name: report_calls
-- returns: list[ReportCalls]
-- row: Calls of a campaign with one number, attempt, hour of the contact's day, outcome and success. `success` is that
-- row: of the analysis; the outcome of a call in progress or refused is null.
-- null: hour, outcome, success
-- plan: custom
-- Count the calls of a campaign that were requested. The hour is that on the contact's clock when the call was allowed.
select c.from_number, c.attempt_number as attempt,
  case when h.hour ~ '^([01][0-9]|2[0-3])$' then h.hour::integer end as hour,
  c.outcome, c.status = 'refused' as is_refused, c.analysis ->> 'call_successful' as success,
  count(*) as calls, coalesce(sum(c.duration_ms), 0)::bigint as talk_ms,
  coalesce(sum(c.cost_cents), 0)::double precision as cost_cents
from calls c, substr(jsonb_path_query_first(c.decision, '$.local_times.*') #>> '{}', 12, 2) as h (hour)
where c.campaign_id = :campaign_id and c.status <> 'released'
group by 1, 2, 3, 4, 5, 6;

-- name: report_values
-- returns: list[ReportValue]
-- row: A value of the custom analysis, with the number of calls that have its name. A free text has one row, without a
-- row: value.
-- null: value
-- plan: custom
-- Count the most frequent values under each name of the custom analysis, in the calls in which a person was reached. A
-- free text has many values, or a long one, or one that may be a phone number or an address. Values of fewer contacts than
-- `fewest` are left out: several calls with one value may be with one contact.
with said as (
  select c.campaign_contact_id, f.key as name, jsonb_typeof(f.value) as kind, f.value #>> '{}' as value
  from calls c, jsonb_each(case when jsonb_typeof(c.analysis -> 'custom_analysis_data') = 'object'
    then c.analysis -> 'custom_analysis_data' else '{}' end) f
  where c.campaign_id = :campaign_id and c.outcome = any (:reached::text[]) and length(f.key) <= :longest_name::integer
), counted as (
  select name, case when length(value) <= :longest::integer and kind in ('string', 'number', 'boolean')
      and value !~ '@|[0-9][0-9 ().-]{5,}[0-9]' then value end as value,
    count(*) as calls, count(distinct campaign_contact_id) as contacts
  from said
  where kind <> 'null' and value <> ''
  group by 1, 2
), ranked as (
  select name, value, calls, contacts, sum(calls) over w as field_calls,
    bool_or(value is null) over w or count(*) over w > :most_values::integer as is_text,
    row_number() over (partition by name order by calls desc, value) as place
  from counted
  window w as (partition by name)
)
select name, case when not is_text then value end as value, calls, field_calls::bigint as field_calls, is_text
from ranked
where case when is_text then place = 1 else place <= :most::integer and contacts >= :fewest::integer end
order by name, place
limit :limit;

-- name: report_forecast
-- returns: ReportForecast | None
-- row: The forecast of a campaign's start, or else its first one, with what the campaign had done before.
-- null: finish_p10, finish_p50, finish_p90
-- Read the forecast that a report compares with what happened.
select made_at, finish_p10, finish_p50, finish_p90, calls_made + calls_p10 as calls_p10,
  calls_made + calls_p50 as calls_p50, calls_made + calls_p90 as calls_p90,
  (spent_cents + cost_cents_p10)::double precision as cost_cents_p10,
  (spent_cents + cost_cents_p50)::double precision as cost_cents_p50,
  (spent_cents + cost_cents_p90)::double precision as cost_cents_p90
from campaign_forecasts
where campaign_id = :campaign_id
order by made_for = 'start' desc, made_at
limit 1;

-- name: stored_report
-- returns: str | None
-- Read the stored report of a campaign, as JSON.
select report::text as report from campaign_reports
where campaign_id = :campaign_id and format = :format;

-- name: store_report!
-- Store the report of a campaign, in place of the one before, unless that has a newer format.
insert into campaign_reports (campaign_id, organization_id, format, computed_at, report)
values (:campaign_id, :organization_id, :format, :computed_at, :report::text::jsonb)
on conflict (campaign_id) do update
set format = excluded.format, computed_at = excluded.computed_at, report = excluded.report
where campaign_reports.format <= excluded.format;

-- name: reports_to_compute
-- returns: list[ReportToCompute]
-- row: A campaign of any organization.
-- List the campaigns whose reports are missing, or lack late results.
select organization_id, campaign_id from private.reports_to_compute(:now, :format, :limit);

-- name: create_report_link!
-- Insert a link to a report.
insert into report_links (id, organization_id, campaign_id, token_sha256, created_by, created_at, expires_at)
values (:id, :organization_id, :campaign_id, :token_sha256::bytea, :created_by, :created_at, :expires_at);

-- name: count_report_links
-- returns: int
-- Count the links of a campaign that have not expired.
select count(*) as id from report_links
where organization_id = :organization_id and campaign_id = :campaign_id and expires_at > :now;

-- name: list_report_links
-- returns: list[ReportLinkRow]
-- row: A link to a report.
-- List the links of a campaign that have not expired, newest first.
select id, token_sha256, created_at, expires_at from report_links
where organization_id = :organization_id and campaign_id = :campaign_id and expires_at > :now
order by created_at desc, id;

-- name: delete_report_link
-- returns: UUID | None
-- Revoke a link. Returns None when there is none, or when the caller may not revoke it.
delete from report_links where organization_id = :organization_id and campaign_id = :campaign_id and id = :id
returning id;

-- name: shared_report
-- returns: SharedReportRow | None
-- row: The report of a link, as JSON, or null while it is added up.
-- null: report
-- Read the report that a link leads to, unless the link has expired.
select l.id, o.name as organization_name, l.expires_at, r.report::text as report
from report_links l
join organizations o on o.id = l.organization_id
left join campaign_reports r on r.campaign_id = l.campaign_id and r.format = :format
where l.token_sha256 = :token_sha256 and l.expires_at > :now;
