"""The studio with campaigns of different sizes: `python -m benchmarks.studio`."""
