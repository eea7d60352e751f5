-- Every policy names the organization, so that none lets a caller see all of them.
drop policy members_renew_nothing on public.campaign_forecasts;
create policy members_renew_nothing on public.campaign_forecasts as restrictive for insert to authenticated
  with check (organization_id = any (array(select private.my_organizations('operator'))) and not is_renewal);
