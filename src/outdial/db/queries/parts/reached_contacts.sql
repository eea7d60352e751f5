-- Contacts of a campaign, `cc`, whom a call has reached, or with which the campaign is done without that. Needs
-- `plan: custom`.
and (:reached::boolean is null or (:reached or cc.status in ('completed', 'failed')) and :reached = exists (
  select from calls r where r.campaign_contact_id = cc.id and r.outcome = any (:reached_outcomes::text[])))
