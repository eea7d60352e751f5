"""URL paths of functions, as on Supabase."""

from typing import Final

PREFIX: Final = "/functions/v1/"
HEALTH: Final = PREFIX + "_internal/health"
