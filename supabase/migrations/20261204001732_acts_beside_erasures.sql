-- An erasure deletes what acts know of the contact, also an act beside it. A removal from the do-not-call list holds the
-- entry that the erasure deletes, and stores its act before it releases the entry. So acts are deleted last: when the
-- erasure is about to commit, each removal of the number has committed, or finds no entry any more.
drop trigger erasures_forget_acts on public.erasures;
create constraint trigger erasures_forget_acts after insert or update of phone on public.erasures
  deferrable initially deferred
  for each row when (new.phone is not null) execute function private.forget_acts_of_erased();
