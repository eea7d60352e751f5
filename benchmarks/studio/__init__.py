"""The studio against campaigns of any size: `python -m benchmarks.studio`."""
