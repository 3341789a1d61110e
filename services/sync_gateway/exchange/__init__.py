"""The exchange between a workplace and its application (protocol.md, Exchange)."""
