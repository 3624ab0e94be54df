"""`python -m crmml` is the command `crmml`."""

import sys

from crmml.jobs.cli import main

if __name__ == "__main__":
    sys.exit(main())
