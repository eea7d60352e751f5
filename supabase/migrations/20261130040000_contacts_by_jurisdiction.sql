-- The page of rules counts an organization's contacts in places without a rule.
-- A migration runs in one transaction: with a million contacts, the table is locked for about a second.
-- squawk-ignore require-concurrent-index-creation
create index contacts_by_jurisdiction on public.contacts (organization_id, jurisdiction_key);
