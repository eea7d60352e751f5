-- Only the service stores keys, after it has tested them at Retell: a member who inserted a row could name the workspace of
-- another organization, which could then not connect it.

revoke insert on public.provider_keys from authenticated;
drop policy admins_insert on public.provider_keys;
drop trigger provider_keys_signed on public.provider_keys;
-- Nothing calls it any more.
-- squawk-ignore ban-drop-function
drop function private.sign_provider_key();
