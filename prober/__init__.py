"""prober: what happens to a TLS client that sends no server name?

The tree in the order in which the data flows:

  config/      YAML text -> frozen model values; every error with file, line and path
  discovery/   targets from files, DNS, HTTP and Kubernetes, while the service runs
  model.py     the values that the parts exchange: Target, Handshake, Observation, Differential, Verdict
  addresses.py, whole_numbers.py, timestamps.py, http_access.py, yaml_text.py, packet_filter.py
               what several parts need in the same way: addresses, numbers, times, access to HTTP servers, YAML, packet sockets
  sources.py, notices.py, findings.py, changelog.py, operations.py
               what passes between parts that do not import each other: discovery, notifications, diagnosis, history, service
  schedule.py  when a differential is due: a stable phase from the target's key; skips, never queues
  sharding.py  which of several probers watches a target: rendezvous hashing of its name
  tls/         bytes <-> events: a hand-built ClientHello and the client's side of TLS 1.0 to 1.3, without I/O
  probing/     the only code that opens sockets to targets: engine, resolution, the three hellos of a differential
  judge/       facts -> opinion: certificates, verdicts, signatures of known ingresses
  report.py    the JSON objects of the command line and of the API; report_text.py is the same as text, quickly
  snapshot.py  what the running service knows, as readers see it
  history/     what survives a restart: changes, failures, alerts, undelivered notifications
  outlets/     what operators see: Prometheus exposition, status pages, API, notifications
  diagnose/    from symptom to cause: logs, captures, routes, overrides, and the judgement over all of them
  lab/         the rehearsal ingress
  service/     composition root of ``prober serve``: rounds, workers, reloads; it imports all of the above
  cli/         one thin file a command
"""

from prober.version import __version__

__all__ = ["__version__"]
