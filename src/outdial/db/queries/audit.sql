-- The audit log.

-- name: record_audit
-- returns: None
-- Write an entry of the audit log. A user is its author, whatever `actor` says; the time is the database's.
select private.record_audit(:organization_id, :actor, :action, :subject_type, :subject_id, :details::text::jsonb);

-- name: list_audit
-- returns: list[AuditRow]
-- row: An entry of the audit log. `details` is JSON text.
-- null: :before_id, :action, :actor, :subject_type, :since, :until, :subject_id
-- plan: custom
-- List the audit log of an organization, newest first.
select id, at, actor, action, subject_type, subject_id, details::text as details
from audit_log
where organization_id = :organization_id
  and (:before_id::bigint is null or id < :before_id)
  and (:action::text is null or action = :action)
  and (:actor::text is null or actor = :actor)
  and (:subject_type::text is null or subject_type = :subject_type)
  and (:since::timestamptz is null or at >= :since)
  and (:until::timestamptz is null or at < :until)
  and (:subject_id::text is null or subject_id = :subject_id)
order by id desc
limit :limit;

-- name: audited_campaigns
-- returns: list[AuditedCampaign]
-- row: A campaign that entries are about.
-- Find the names of campaigns.
select id, name from campaigns where organization_id = :organization_id and id = any (:ids::uuid[]);

-- name: subject_audit
-- returns: list[AuditRow]
-- List the audit entries about these subjects, newest first.
select id, at, actor, action, subject_type, subject_id, details::text as details
from audit_log
where organization_id = :organization_id and subject_id = any (:subject_ids::text[])
order by id desc
limit :limit;
