"""`python -m manako`."""

import sys

from manako.cli import main

if __name__ == "__main__":
    sys.exit(main())
