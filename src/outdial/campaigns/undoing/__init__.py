"""Acts of members, and undoing them."""
