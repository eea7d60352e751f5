"""The log of functions: buffer entries, write them to Postgres, delete old ones."""
