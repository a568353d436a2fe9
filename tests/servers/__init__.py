"""Real server programs, and what a machine needs to run them."""
