"""What Outdial does per second and in how much memory, on this machine and beside others."""
