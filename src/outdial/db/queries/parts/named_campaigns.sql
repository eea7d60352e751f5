-- Words, as patterns for `like`, each in the name of `m` (campaigns): compared as the search for contacts compares them.
and (:words::text[] is null
  or private.search_key(m.name) like all (array(select private.search_key(w) from unnest(:words::text[]) w)))
