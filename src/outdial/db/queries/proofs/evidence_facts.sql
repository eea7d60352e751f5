-- What an evidence pack holds besides contacts and calls: consents, lists, rules and audit entries.

-- name: evidence_consents
-- returns: list[PackedConsent]
-- row: A consent, also a revoked one.
-- null: source, text, url, revoked_at, revocation
-- List the consents of phones.
select id, phone, basis, scope, source, text, url, given_at, revoked_at, revocation, created_at
from consents where organization_id = :organization_id and phone = any (:phones::text[])
order by phone, given_at, id;

-- name: evidence_blocks
-- returns: list[PackedBlock]
-- row: An entry of the do-not-call list.
-- null: reason
-- List the entries of the do-not-call list for phones.
select phone, purpose, source, reason, created_at from do_not_call
where organization_id = :organization_id and phone = any (:phones::text[])
order by phone, purpose;

-- name: evidence_listings
-- returns: list[PackedListing]
-- row: A phone on a screening list.
-- List the screening lists that phones are on now.
select n.phone, n.list_id from screened_numbers n
where n.organization_id = :organization_id and n.phone = any (:phones::text[])
order by n.phone, n.list_id;

-- name: evidence_lists
-- returns: list[PackedScreeningList]
-- row: A screening list, also one that was replaced.
-- null: jurisdiction, created_by, completed_at
-- List the screening lists that were stored completely, oldest first.
select id, kind, jurisdiction, registry_date, file_name, status, numbers, created_by, created_at, completed_at
from screening_lists where organization_id = :organization_id and completed_at is not null
order by created_at, id;

-- name: evidence_rules
-- returns: list[PackedRule]
-- row: A rule as it was when it decided about calls, as JSON text; without a pack date, one of the
-- row: organization's own.
-- null: pack_date
-- List the rules with these ids as packs of these dates had them, and the organization's own.
select r.rule_id, r.pack_date, r.body::text as body, r.created_by, r.created_at
from calling_rules r
join unnest(:rule_ids::text[], :pack_dates::text[]) as u (rule_id, pack_date) on u.rule_id = r.rule_id
where r.organization_id = :organization_id and coalesce(r.pack_date, u.pack_date) = u.pack_date
order by r.rule_id, r.pack_date;

-- name: evidence_switches
-- returns: list[PackedSwitch]
-- row: A rule that a member switched off, or on again, and why.
-- List all switches of rules, oldest first. `recorded_at` is the time of the database.
select id, rule_id, is_off, reason, actor, at, recorded_at from rule_switches
where organization_id = :organization_id order by id;

-- name: evidence_audit
-- returns: list[PackedAuditEntry]
-- row: An entry of the audit log with its place in the chain. `details` is JSON text. Salts are null once redacted.
-- null: position, previous_hash, hash, subject_salt, details_salt, redacted_at, erasure_id
-- List the audit entries about subjects, oldest first.
select a.id, a.organization_id, a.at, a.actor, a.action, a.subject_type, a.subject_id, a.details::text as details,
  c.position, encode(c.previous_hash, 'hex') as previous_hash, encode(c.hash, 'hex') as hash,
  encode(c.subject_salt, 'hex') as subject_salt, encode(c.subject_digest, 'hex') as subject_digest,
  encode(c.details_salt, 'hex') as details_salt, encode(c.details_digest, 'hex') as details_digest, c.redacted_at,
  c.erasure_id
from audit_log a join audit_chain c on c.entry_id = a.id
where a.organization_id = :organization_id and a.subject_id = any (:subject_ids::text[])
order by a.id;
