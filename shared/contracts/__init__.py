"""Events that cross service borders: one module per owning service, pydantic only, additive within a version."""
