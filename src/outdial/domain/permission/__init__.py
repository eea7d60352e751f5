"""Whether a contact may be called at all: its consent, and the screening lists that may not have its number."""
