"""Programs that benchmarks measure against, built when they are first needed."""
