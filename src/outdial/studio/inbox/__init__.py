"""The ledger of webhook events."""
