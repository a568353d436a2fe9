"""The only code that opens sockets to targets.

resolve.py         a configured address -> endpoints
runner.py          one differential: the hellos side by side, and the concurrency limit
attempt.py         what the engine is asked to do: one handshake
engine.py          thousands of handshakes over one poller, in one Trio task
flight.py          one handshake: the step machine between a socket and the TLS core
deadlines.py       one heap for everybody's alarms
poller.py          epoll and kqueue, edge-triggered, behind one protocol
receive_clock.py   the kernel's receive timestamps
dial.py            sockets, and how they are closed
errnos.py          which errno means what
proxy_protocol.py  the header that a load balancer sends first
descriptors.py     how many sockets there may be
"""
