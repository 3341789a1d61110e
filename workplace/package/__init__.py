"""Files that stand beside the program in a package: starters and the instruction's template."""
