-- Operators delete drafts, which have no calls yet. The contacts stay in the organization.
grant delete on public.campaigns to authenticated;
create policy operators_delete_drafts on public.campaigns for delete to authenticated
  using (status = 'draft' and organization_id = any (array(select private.my_organizations('operator'))));
