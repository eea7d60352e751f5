-- Validates the constraints that name a new reason to wait and a new source of opt-outs.

alter table public.campaigns validate constraint campaigns_waiting_for_check;
alter table public.do_not_call validate constraint do_not_call_source_check;
