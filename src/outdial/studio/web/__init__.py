"""The web application: middleware, sessions, errors, paging and live updates."""
