-- Filter the contacts of a campaign, `cc`. `reached` true: a call has reached them. False: the campaign is done with
-- them, no call has reached them, and they are not completed by a member. Needs `plan: custom`.
and (:reached::boolean is null
  or (:reached or cc.status = 'failed' or cc.status = 'completed'
      and (cc.decision is distinct from 'completed' or cc.decided_calls < cc.call_count))
    and :reached = exists (
      select from calls r where r.campaign_contact_id = cc.id and r.outcome = any (:reached_outcomes::text[])))
