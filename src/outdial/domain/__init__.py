"""The rules of outbound calling as plain functions over values: no I/O, and the time is always a parameter."""
