"""The rehearsal ingress: a small TLS server of our own on loopback, with one listener for each behaviour.

It exists so that a person can rehearse an incident, their alerts and their dashboards without a cluster. It is a server, so
unlike the probing path it uses the ``ssl`` module.
"""
