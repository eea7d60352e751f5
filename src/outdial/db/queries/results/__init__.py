"""Results of campaigns: one row per contact, and analytics over calls."""
