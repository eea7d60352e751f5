"""Background jobs: imports and exports from a queue, and the removal of expired data."""
