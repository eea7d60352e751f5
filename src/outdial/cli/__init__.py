"""The command line: `outdial`."""
