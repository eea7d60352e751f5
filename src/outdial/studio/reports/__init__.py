"""Reports: the service, its JSON routes and its pages."""
