"""What the faults of one account, one dialer or the network cost the others."""
