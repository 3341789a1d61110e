"""The workplace in a terminal."""
