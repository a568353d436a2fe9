"""Benchmarks: prober beside its peers, on the same targets, interleaved."""
