"""What crosses HTTP to a workplace. Standard library only: it ships inside the package."""
