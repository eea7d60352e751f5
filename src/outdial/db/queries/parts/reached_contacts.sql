-- Contacts of a campaign, `cc`, whom a call has reached, or with which the campaign is done without that. Those that a
-- member has decided to be completed were reached, whatever their calls say. Needs `plan: custom`.
and (:reached::boolean is null
  or (:reached or cc.status = 'failed' or cc.status = 'completed' and cc.decision is distinct from 'completed')
    and :reached = exists (
      select from calls r where r.campaign_contact_id = cc.id and r.outcome = any (:reached_outcomes::text[])))
