"""From a variant to its processes and back to records."""
