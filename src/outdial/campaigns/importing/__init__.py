"""CSV files of contacts: read, previewed and put into a campaign."""
