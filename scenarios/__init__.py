"""The gallery: one question a file."""
