-- Dialers set the keys of the places of contacts. A trigger before updates makes each update of a contact compute all
-- generated columns, so this role evaluates search_key too.
grant execute on function private.search_key(text) to outdial_dialer;
