"""Middleware of the studio: sessions, security headers, cookies and CORS."""
