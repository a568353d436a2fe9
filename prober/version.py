"""The version, alone, so that ``prober --version`` imports nothing else."""

__version__ = "0.1.0"
