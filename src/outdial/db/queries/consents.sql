-- Consents of contacts.

-- name: record_consents
-- returns: list[RecordedConsent]
-- row: A consent that was stored. It is revoked already if the contact revoked consent later than it was given.
-- null: revoked_at
-- Store consents of contacts of an organization, from a JSON array of objects with the columns of `u`. Consents that are
-- stored already are left out. A consent that was given before the contact refused, revoked one of the same scope, or
-- opted out is stored as revoked then.
insert into consents (id, organization_id, phone, basis, scope, source, text, url, given_at, revoked_at, revocation,
  created_at)
select u.id, :organization_id, u.phone, u.basis, u.scope, u.source, u.text, u.url, u.given_at, ended.at,
  case when ended.at is not null then 'revoked after it was given' end, :now
from jsonb_to_recordset(:consents::text::jsonb) as u (id uuid, phone text, basis text, scope text, source text,
  text text, url text, given_at timestamptz)
cross join lateral (
  select min(e.at) as at from (
    select c.given_at as at from consents c
    where c.organization_id = :organization_id and c.phone = u.phone and c.basis = 'none'
      and c.scope in ('any', u.scope) and c.given_at >= u.given_at
    union all
    select c.revoked_at from consents c
    where c.organization_id = :organization_id and c.phone = u.phone and c.scope = u.scope
      and c.revoked_at >= u.given_at
    union all
    select d.created_at from do_not_call d
    where d.organization_id = :organization_id and d.phone = u.phone and d.purpose in ('any', u.scope)
      and d.created_at >= u.given_at
  ) e
  where u.basis <> 'none'
) ended
order by u.phone
on conflict do nothing
returning id, phone, revoked_at;

-- name: revoke_consent
-- returns: UUID | None
-- Revoke a consent of a contact. Returns None if it does not exist or is revoked already.
update consents c
set revoked_at = greatest(:now, c.given_at), revocation = :reason
from contacts k
where c.id = :consent_id and c.organization_id = :organization_id and c.revoked_at is null and c.basis <> 'none'
  and k.id = :contact_id and k.organization_id = c.organization_id and k.phone = c.phone
returning c.id;

-- name: revoke_refused_consents!
-- Revoke the consents that contacts gave before they refused, for the scope that they refused.
update consents c
set revoked_at = n.given_at, revocation = 'refused later'
from consents n
where n.organization_id = :organization_id and n.phone = any (:phones::text[]) and n.basis = 'none'
  and c.organization_id = n.organization_id and c.phone = n.phone and c.basis <> 'none' and c.revoked_at is null
  and (n.scope = 'any' or c.scope = n.scope) and c.given_at <= n.given_at;

-- name: list_consents
-- returns: list[StoredConsent]
-- row: A consent of a contact, and when and why it was revoked.
-- null: source, text, url, revoked_at, revocation
-- List the consents of a phone, newest first.
select id, basis, scope, source, text, url, given_at, revoked_at, revocation, created_at from consents
where organization_id = :organization_id and phone = :phone
order by given_at desc, id desc
limit :limit;
