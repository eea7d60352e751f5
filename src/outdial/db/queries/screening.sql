-- Screening lists and their numbers.

-- name: current_screening_lists
-- returns: list[CurrentScreeningList]
-- row: A complete list that screens calls.
-- null: jurisdiction
-- List the complete lists of an organization.
select id, kind, jurisdiction, registry_date, numbers from screening_lists
where organization_id = :organization_id and status = 'current'
order by kind, jurisdiction;
