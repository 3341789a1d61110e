"""What a workplace can do: the replica, its edits, the exchange. Prints nothing and asks nothing."""
