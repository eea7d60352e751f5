"""The way of an event: received, stored, applied to its call, and replayed at will."""
