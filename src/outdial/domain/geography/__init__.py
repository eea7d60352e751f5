"""Facts about places: area codes, states and provinces, countries, postal codes, and their time zones."""
