"""The API keys of a dialer: those of its environment, and those that members have entered."""
