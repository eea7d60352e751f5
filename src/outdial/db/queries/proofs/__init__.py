"""Queries of what is kept as proof: the chain of the audit log, and evidence packs."""
