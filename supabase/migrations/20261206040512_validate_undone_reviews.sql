-- Validated apart from its creation, which holds a stronger lock.

alter table public.undoable_acts validate constraint undoable_acts_kind_check;
