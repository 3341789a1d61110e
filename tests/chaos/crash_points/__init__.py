"""Named places in service and program, killed with -9 under load: nothing is lost, nothing doubled."""
