"""What gateway and worker share: frames, orders, configuration, outcomes and responses."""
