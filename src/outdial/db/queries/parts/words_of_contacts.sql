-- Words in any column of `k` (contacts), without the index of words, which row level security keeps from other queries.
and (:words::text[] is null
  or k.search_key like all (array(select private.search_key(w) from unnest(:words::text[]) w))
  or k.search_key like :digits)
