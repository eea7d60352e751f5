-- Claims read campaign_contacts_lanes instead. Dialers of the previous version find the same contacts through it.
-- squawk-ignore require-concurrent-index-deletion
drop index public.campaign_contacts_places;
