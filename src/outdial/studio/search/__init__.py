"""One search over campaigns, contacts, caller numbers and the pages of the studio."""
