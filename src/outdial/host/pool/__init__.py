"""The worker processes of each function, as the gateway starts, monitors and scales them."""
