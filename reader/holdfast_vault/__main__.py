"""`python -m holdfast_vault`."""

import sys

from holdfast_vault.cli import main

sys.exit(main())
