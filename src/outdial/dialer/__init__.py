"""The dialer: claims due contacts, places their calls, settles the answers, and asks about what stays silent."""
