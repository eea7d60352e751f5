-- Results of a campaign: one row per contact.

-- name: stream_results
-- returns: AsyncIterator[ResultRow]
-- row: A contact of a campaign with its result. Variables and the custom analysis are JSON text.
-- null: name, email, company, notes, external_id, country, region, postal_code, timezone, reason, last_outcome,
-- null: last_call_at, duration_ms, talk_ms, cost_cents, callback_at, voicemail_left_at, summary, sentiment, success,
-- null: reviewed_by, review_note, custom_analysis, transcript, recording_url, :status, :last_outcome, :reached, :first_phone, :last_phone, :first_ending, :last_ending, :name,
-- null: :external_id, :words, :contact_ids, :digits
-- plan: custom
-- Stream the selected contacts of a campaign in the order of its list, without erased ones. Outcome, time and duration
-- are those of the last call; talk time and cost are those of all calls. The analysis, transcript and recording are
-- those of the last call with a summary, because a later call without an answer has none.
select k.phone, k.name, k.email, k.company, k.notes, k.external_id, k.country, k.region, k.postal_code, k.timezone,
  cc.status, cc.status_reason as reason, cc.attempts, cc.call_count as calls, cc.last_outcome,
  l.requested_at as last_call_at, l.duration_ms, t.talk_ms, t.cost_cents, cc.callback_at, cc.voicemail_left_at,
  s.analysis ->> 'call_summary' as summary, s.analysis ->> 'user_sentiment' as sentiment,
  s.analysis ->> 'call_successful' as success, (s.analysis -> 'custom_analysis_data')::text as custom_analysis,
  case when :with_transcript then s.transcript end as transcript,
  case when :with_recording then s.recording_url end as recording_url,
  cc.variables::text as variables, v.reviewed_by, v.note as review_note
from campaign_contacts cc
join contacts k on k.id = cc.contact_id
left join lateral (
  select c.requested_at, c.duration_ms from calls c
  where c.campaign_contact_id = cc.id and c.status <> 'released'
  order by c.attempt_number desc
  limit 1
) l on true
left join lateral (
  select c.analysis, c.transcript, c.recording_url from calls c
  where c.campaign_contact_id = cc.id and c.analysis is not null
  order by c.analysis ->> 'call_summary' is null, c.attempt_number desc
  limit 1
) s on true
left join lateral (
  select r.reviewed_by, r.note
  from calls c join call_reviews r on r.organization_id = c.organization_id and r.call_id = c.id
  where c.campaign_contact_id = cc.id
  order by c.attempt_number desc
  limit 1
) v on true
left join lateral (
  select sum(c.duration_ms)::bigint as talk_ms, sum(c.cost_cents) as cost_cents from calls c
  where c.campaign_contact_id = cc.id
) t on true
where cc.organization_id = :organization_id and cc.campaign_id = :campaign_id and k.erased_at is null
  -- include: selected_contacts
order by cc.contact_id;

-- name: all_variable_names
-- returns: list[str]
-- List the names of the variables of all contacts of a campaign.
select distinct v.key as id
from campaign_contacts cc, jsonb_object_keys(cc.variables) as v (key)
where cc.organization_id = :organization_id and cc.campaign_id = :campaign_id
order by 1;

-- name: custom_analysis_names
-- returns: list[str]
-- List the names of the custom analysis fields of all calls of a campaign.
select distinct f.key as id
from calls c, jsonb_object_keys(
  case when jsonb_typeof(c.analysis -> 'custom_analysis_data') = 'object'
    then c.analysis -> 'custom_analysis_data' else '{}' end) as f (key)
where c.organization_id = :organization_id and c.campaign_id = :campaign_id
order by 1;
