"""Where targets come from beside the configuration file: files, DNS, Prometheus's http_sd, Kubernetes.

A source (`feed.Watcher`) watches one place and publishes label sets; `supervisor` keeps each one running, on its own, and remembers
the last good ones of each; `relabel` is applied on the way. The service makes targets of what is found.
"""
