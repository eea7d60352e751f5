-- Contacts of campaigns, `cc`, in review because they asked for a callback: their reasons begin with ASKED. The index
-- campaign_contacts_callback_requests has the same condition.
and cc.status = 'review' and cc.status_reason like 'the contact asked for a callback%'
