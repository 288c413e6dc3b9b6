"""``python -m loadtest.swarm.check_strategy STRATEGY``: checks in a separate process whether a strategy
exists.

A user's module may patch or start anything when it is imported. The reason goes to stderr, with exit code 1.
"""

import sys

from loadtest.errors import UsageError
from loadtest.fleet.strategies import check
from loadtest.settings.strategy import parse
from loadtest.swarm.process_setup import users_modules

if __name__ == "__main__":
    try:
        check(parse(sys.argv[1]), users_modules())
    except UsageError as problem:
        sys.exit(str(problem))
