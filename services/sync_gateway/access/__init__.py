"""Who is calling and what he may do: sessions, workplace tokens, activations, roles."""
