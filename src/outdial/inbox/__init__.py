"""The inbox: receives the provider's events, stores them, applies them to calls, and replays them."""
