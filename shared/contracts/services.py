"""The services that speak on the bus."""

SERVICES = ("licensing", "provisioning", "snapshot-builder", "sync-gateway")
