"""Forecasts of campaigns: when they finish and what they cost, from the admission code over virtual time."""
