"""The worker processes of each function, as the gateway holds and scales them."""
