"""yurtctl: the operator's command line over `/operator/v1`."""
