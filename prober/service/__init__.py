"""The running service: the composition root, where everything meets.

plan.py      a checked configuration -> what is watched, with its trust anchors; what a target's address is asked for
rounds.py    the schedule's ticks -> differentials -> judgements -> the store
first_rounds.py   those need not wait for their phase
late_rounds.py    what a stall has left behind is started at a pace
running.py   what the outlets may ask of the service: `prober.operations.Operations`
life.py      from start to SIGTERM: listener, engine, rounds, web server and signals in one nursery
service_manager.py   sd_notify: ready, reloading, stopping, alive
signals.py   a stop is status 0 whenever it comes
logs.py      structured lines on standard error
"""
