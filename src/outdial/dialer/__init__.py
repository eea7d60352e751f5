"""The dialer: claims due contacts, places their calls, settles the responses, and asks about calls without events."""
