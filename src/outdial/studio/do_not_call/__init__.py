"""Do not call: the service, its JSON routes and its pages."""
