-- The filters of the list of all contacts: conditions on `k` (contacts), without erased ones. All parameters but last_text
-- may be null. Needs `plan: custom`.
and k.erased_at is null
and (:contact_ids::uuid[] is null or k.id = any (:contact_ids))
and (:first_phone::text is null or k.phone >= :first_phone and k.phone <= :last_phone)
and (:name::text is null or k.name_key >= lower(:name) and k.name_key < lower(:name) || :last_text)
and (:external_id::text is null or k.external_id = :external_id)
