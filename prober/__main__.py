"""The ``prober`` program, and ``python -m prober``: what comes before everything else."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the program; its exit status."""
    if sys.argv[1:2] == ["serve"]:
        # Before the parser and all that it imports: an orchestrator may change its mind while Python is still reading modules.
        from prober.service.signals import stoppable

        stoppable()
    from prober.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
