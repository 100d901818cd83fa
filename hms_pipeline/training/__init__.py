"""Two-stage training of one member on one fold."""
