"""Licensing: plans, subscriptions and the seats that workplaces hold under them."""
