"""`python -m presage.cli`: the console script without an installed one."""

import sys

from presage.cli import main

sys.exit(main())
