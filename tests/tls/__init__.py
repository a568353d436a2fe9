"""The client side of TLS, without I/O."""
