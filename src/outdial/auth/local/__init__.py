"""The subset of Supabase Auth that signing in needs, for plain Postgres. A Supabase project has its own Auth.

This package imports nothing, so that commands that manage users start without Starlette, which takes 15 ms to import.
"""
