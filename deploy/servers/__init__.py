"""Real servers: found where they run, or started from wheels, packages and containers."""
