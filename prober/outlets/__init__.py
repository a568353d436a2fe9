"""What operators see of the running service: metrics, ``/probe``, pages, the API. They only read `prober.operations.Operations`.

web.py              what is where; web_server.py the HTTP listener; guard.py what holds for every request
exporter.py         the target series, service_metrics.py the service's own; metrics.py says every metric once
exposition.py       Prometheus' formats; streaming.py sends long answers in pieces
probe_endpoint.py   ``/probe`` by blackbox_exporter's contract
api.py              JSON; status.py, pages.py, listing.py, wording.py, opinions.py the pages
"""
