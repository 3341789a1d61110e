"""The way of a workplace, told on the terminal and checked at every step. Only public doors are used."""
