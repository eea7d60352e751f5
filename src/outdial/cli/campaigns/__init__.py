"""`outdial campaign`."""
