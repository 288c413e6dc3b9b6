"""Seeds the server for a plain ``locust -f …`` and prints its description as JSON.

Runs as ``python -m loadtest.server.preparation on|off`` (functions with or without TLS), in a process that
gevent has not patched.
"""

import json
import os
import sys

from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError
from loadtest.server import connections
from loadtest.server.reset import seed
from loadtest.server.restrictions import check_tls
from loadtest.server.target import describe


def main() -> int:
    try:
        functions = Dsn.parse(os.environ["LOADTEST_DSN"])
        admin = Dsn.parse(os.environ.get("LOADTEST_ADMIN_DSN") or os.environ["LOADTEST_DSN"])
        connections.try_for(functions, 5.0)
        target = describe(functions, admin, "given", None)
        check_tls(target, sys.argv[1])
        seed(admin)
    except LoadtestError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps({**target.public(), "warnings": list(target.warnings)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
