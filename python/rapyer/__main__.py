"""`python -m rapyer`: the command line where the console script is not on PATH."""

import sys

from rapyer._cli import main

sys.exit(main())
