"""The version, alone, so that ``prober --version`` imports nothing else."""

__all__ = ["__version__"]

__version__ = "0.1.0"
