-- The filters of a campaign's list of contacts: conditions on `cc` (campaign_contacts) and `k` (contacts). Its parameters
-- are those of ContactSelection.parameters, and all but last_text and reached_outcomes may be null. Needs `plan: custom`.
and (:contact_ids::uuid[] is null or cc.id = any (:contact_ids))
and (:status::text is null or cc.status = :status)
and (:last_outcome::text is null or cc.last_outcome = :last_outcome)
-- include: reached_contacts
and (:first_phone::text is null or k.phone >= :first_phone and k.phone <= :last_phone)
and (:first_ending::text is null or k.phone_reversed >= :first_ending and k.phone_reversed < :last_ending)
and (:name::text is null or k.name_key >= lower(:name) and k.name_key < lower(:name) || :last_text)
and (:external_id::text is null or k.external_id = :external_id)
-- include: words_of_contacts
