"""From symptom to cause and fix: the playbook's routes, each an analyser, and one judgement over all of their evidence.

Analysers are pure: they take text or bytes and return facts. What reads files, clusters and sockets stands apart, in the
``collect_`` modules. A log line, a route or a probe alone proves little; `causes` says how much all of them prove together.
"""
