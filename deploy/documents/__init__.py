"""Documents that are generated from the code, and the check that they are current."""
