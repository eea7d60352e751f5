"""API keys of provider accounts that members enter: encrypted, stored, and read by the processes that need them."""
