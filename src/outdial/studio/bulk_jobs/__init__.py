"""Actions on all contacts of a campaign that match the filters of the list."""
