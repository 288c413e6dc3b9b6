"""``python -m loadtest.swarm.check_strategy STRATEGY SETTINGS``: checks in a separate process whether a
strategy can run with these settings, which are JSON.

A user's module may patch or start anything when it is imported. The reason goes to stderr, with exit code 1.
Where something is merely not on this machine, the exit code is :attr:`MissingHere.check_code`, and the last
line on stdout is JSON, the arguments of that error.
"""

import json
import sys

import msgspec

from loadtest.errors import MissingHere, UsageError
from loadtest.settings.plan import Settings
from loadtest.swarm.process_setup import check_strategy

if __name__ == "__main__":
    try:
        check_strategy(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Settings))
    except MissingHere as problem:
        sys.stdout.write("\n" + json.dumps([str(problem), problem.npm_folder, problem.packages]))
        sys.exit(MissingHere.check_code)
    except UsageError as problem:
        sys.exit(str(problem))
