"""The part of Supabase Auth that signing in takes, for plain Postgres; a Supabase project has its own.

It gathers nothing: commands that make users need no web framework, which would take 15 ms of every command's start.
"""
