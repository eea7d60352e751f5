"""The launch check of a campaign: its workspace at the provider, and the variables of its contacts."""
