-- The page of rules counts an organization's contacts in places without a rule.
create index contacts_by_jurisdiction on public.contacts (organization_id, jurisdiction_key);
