"""Provisioning: subscribers, applications, users with their roles, and the life of workplaces."""
