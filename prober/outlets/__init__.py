"""What operators see of the running service: metrics, ``/probe``, pages, the API, notifications. They only read `prober.operations.Operations`.

web.py              what is where; web_server.py the HTTP listener; guard.py what holds for every request
authentication.py   who may ask, and rate_limit.py how often; http2.py what hypercorn leaves open
exporter.py         the target series, service_metrics.py the service's own; metrics.py says every metric once
exposition.py       Prometheus' formats, target_lines.py their lines; streaming.py sends long answers in pieces, slices.py makes them so
probe_endpoint.py   ``/probe`` by blackbox_exporter's contract
api.py              JSON; status.py, pages.py, listing.py, wording.py, opinions.py the pages; causes.py, failures.py, runbooks.py both
notifier.py         who is told of alerts: alertmanager.py, webhook.py; payload.py is what they are sent, delivery.py one request,
                    httpx_parts.py what httpx is given for it
"""
