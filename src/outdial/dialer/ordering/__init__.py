"""In which order a claim takes contacts: by lane, and by part of the day."""
