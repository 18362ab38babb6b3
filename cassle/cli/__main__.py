"""``python -m cassle.cli`` is the command ``cassle``."""

import sys

from cassle.cli import main

if __name__ == "__main__":
    sys.exit(main())
