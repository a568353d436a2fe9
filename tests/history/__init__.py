"""Tests of prober.history."""
