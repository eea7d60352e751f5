"""Contacts of a campaign that programs add, change, skip and retry one by one."""
