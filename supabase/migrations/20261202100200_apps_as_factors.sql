-- Only authenticator apps count as second factors. A Supabase project also has phones and passkeys, which the studio cannot
-- ask for: its users would be locked out.

create or replace function private.my_organizations(minimum text default 'viewer') returns setof uuid
language sql stable security definer set search_path = ''
as $$
  select m.organization_id
  from public.organization_members m
  where m.user_id = (select auth.uid())
    and array_position(array['viewer', 'operator', 'admin', 'owner'], m.role)
        >= array_position(array['viewer', 'operator', 'admin', 'owner'], minimum)
    and ((select auth.jwt() ->> 'aal') = 'aal2' or not exists (
      select from auth.mfa_factors f
      where f.user_id = (select auth.uid()) and f.status::text = 'verified' and f.factor_type::text = 'totp'
    ))
$$;
