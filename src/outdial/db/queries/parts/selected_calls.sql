-- The calls that the filters of the list select.
  and (:campaign_id::uuid is null or c.campaign_id = :campaign_id)
  and (:status::text is null or c.status = :status)
  and (:outcome::text is null or c.outcome = :outcome)
  and (:since::timestamptz is null or c.created_at >= :since)
  and (:until::timestamptz is null or c.created_at < :until)
  and (:first_phone::text is null or c.phone >= :first_phone and c.phone <= :last_phone)
  and (:contact_ids::uuid[] is null or c.contact_id = any (:contact_ids))
  and (:is_reviewed::boolean is null
    or exists (select from call_reviews r where r.organization_id = c.organization_id and r.call_id = c.id) = :is_reviewed)
