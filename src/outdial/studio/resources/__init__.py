"""What the API and the pages show and do, one module for each noun: models, and operations on a caller's connection."""
