"""Local Auth in tests: passwords that are hashed cheaply."""

from typing import Final

from argon2 import PasswordHasher

CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
