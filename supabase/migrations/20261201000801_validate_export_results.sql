-- Reads the exports without keeping others from writing them.
alter table public.exports validate constraint exports_format_known;
alter table public.exports validate constraint exports_include_known;
alter table public.exports validate constraint exports_kind_known;
