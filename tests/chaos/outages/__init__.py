"""Broker, databases and object store each stopped and started, and cut off, under parallel exchanges and builds."""
