"""Results of campaigns: one row per contact, for files."""
