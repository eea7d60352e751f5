"""The part of Supabase Auth that signing in takes, for plain Postgres; a Supabase project has its own."""

from outdial.auth.local.app import create_auth
from outdial.auth.local.service import LocalAuth
from outdial.auth.local.signing import SigningKeys

__all__ = ["LocalAuth", "SigningKeys", "create_auth"]
