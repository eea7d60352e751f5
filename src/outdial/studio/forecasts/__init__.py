"""Forecasts of campaigns: when they finish, what they cost, and how wrong a forecast was."""
