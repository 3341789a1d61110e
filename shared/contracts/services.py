"""The services that speak on the bus."""

SERVICES = ("licensing", "provisioning", "snapshot_builder", "sync_gateway")
