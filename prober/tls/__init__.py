"""The client's side of TLS, without I/O: bytes in, events out."""
