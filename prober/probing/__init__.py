"""The only code that opens sockets to targets.

resolve.py         a configured address -> endpoints
names.py           the system's resolver, so that one name that hangs holds up no other
runner.py          one differential: the hellos side by side, and the concurrency limit
attempt.py         what the engine is asked to do: one handshake
engine.py          thousands of handshakes over one poller, in one Trio task
host.py            what a flight needs from the engine that it is in
flight.py          one handshake: the step machine around its socket
exchange.py        what the peer's bytes say: the TLS core's answers become findings
steps.py           where a handshake is, and how long a known outcome waits for the rest
deadlines.py       one heap for everybody's alarms
poller.py          epoll and kqueue, edge-triggered, behind one protocol
receive_clock.py   the kernel's receive timestamps
packet_clock.py    when an RST or a FIN came, from AF_PACKET
wall_clock.py      Unix time and perf_counter at one moment
attention.py       when this process last waited in the kernel
findings.py        what one handshake has shown so far
entropy.py         the system's randomness, a block at a time
dial.py            sockets, and how they are closed
errnos.py          which errno means what
proxy_protocol.py  the header that a load balancer sends first
descriptors.py     how many sockets there may be
"""
