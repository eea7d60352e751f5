"""Evidence packs: the file, and the page made to be printed."""
