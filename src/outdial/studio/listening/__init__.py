"""Hearing live calls, and taking them over."""
