"""The engine against real sockets: peers that do one thing each, and witnesses on the other side."""
