"""``python -m prober``: the same as the ``prober`` program."""

import sys

from prober.cli import main

if __name__ == "__main__":
    sys.exit(main())
