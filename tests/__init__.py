"""The tests, laid out as `prober` is: what tests ``prober/judge/trust.py`` is ``tests/judge/test_trust.py``.

A package, so that test modules can share `tests.pki` (certificates) and `tests.servers` (real programs) by ordinary imports.
"""
