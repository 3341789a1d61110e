"""What people and operators do to applications and workplaces."""
