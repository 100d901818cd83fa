"""Views: named recipes from a window to a network's input, and the store of their values."""
