"""Yurt on one computer: the servers it needs, and the four services in one process or in four."""
