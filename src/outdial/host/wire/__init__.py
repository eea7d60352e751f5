"""The protocol between gateway and worker: frames, orders, configuration, outcomes and responses."""
