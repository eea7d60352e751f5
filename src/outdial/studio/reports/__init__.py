"""Reports and charts of calls."""
