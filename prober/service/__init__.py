"""The running service: the composition root, where everything meets.

plan.py          a checked configuration -> what is watched, with its trust anchors; what a target's address is asked for
discovering.py   what discovery finds -> what is watched, by the configuration that runs now
engines.py       the engine as the service runs it: few handshakes at a time, for ever
rounds.py        the schedule's ticks -> differentials -> judgements; watch.py is one address of them
first_rounds.py  those need not wait for their phase
late_rounds.py   what a stall has left behind is started at a pace
recording.py     what becomes of a judged differential: store, log, alerts and history, in one step; keeping.py makes it small
alerting.py      from rounds to alerts to those who are told
self_watch.py    what the prober says about itself as alerts
diagnosing.py    why a target fails, from its rounds and its cluster; installations.py is what that cluster says
workers.py       rounds in other processes: child.py is one of them, shares.py who watches what, frames.py how they talk,
                 worker.py what runs there, reports.py what it tells, tallies.py what its counters come to
running.py       what the outlets may ask of the service: `prober.operations.Operations`
config_watch.py, web_access.py, file_stamps.py
                 reload when a file changes, and how that is seen
life.py          from start to SIGTERM: listener, engine, rounds, web server and signals in one nursery
service_manager.py  sd_notify: ready, reloading, stopping, alive
signals.py       a stop is status 0 whenever it comes
collecting.py    when Python looks for reference cycles
logs.py          structured lines on standard error
"""
