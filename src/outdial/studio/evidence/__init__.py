"""Evidence packs: the file, and the printable page."""
