"""How values look on a page: badges, charts and formats."""
