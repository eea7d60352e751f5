"""Contacts of a campaign that programs add, change, skip and call again one by one."""
