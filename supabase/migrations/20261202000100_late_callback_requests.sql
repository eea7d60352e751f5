-- An analysis that comes after its call has completed the contact may ask for a callback: the contact goes to review. That
-- is no open status, so a completed campaign stays true.
drop trigger campaign_contacts_arrow on public.campaign_contacts;
create trigger campaign_contacts_arrow before update of status on public.campaign_contacts
  for each row execute function private.check_arrow(
    'pending>calling', 'pending>skipped', 'pending>cancelled', 'calling>pending', 'calling>completed', 'calling>failed',
    'calling>review', 'calling>cancelled', 'calling>skipped', 'review>completed', 'review>failed', 'review>pending',
    'skipped>pending', 'pending>completed', 'pending>failed', 'pending>review', 'completed>pending', 'failed>pending',
    'completed>review');
