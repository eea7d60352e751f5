"""Members act on what is under way: stop all calls of an organization, hang up a call, work on many contacts."""
