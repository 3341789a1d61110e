"""The public door: parse, call a use case, answer. No rule lives here."""
