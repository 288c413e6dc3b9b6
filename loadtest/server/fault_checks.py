"""Whether faults can be done to a server, found out before anything is."""

import pymysql

from loadtest.errors import UsageError
from loadtest.server import connections, flavour
from loadtest.server.fault_actions import ASK_S, VARIABLES
from loadtest.server.full_disk import FullDisk
from loadtest.server.password_rotation import Rotation
from loadtest.server.processes import process_of
from loadtest.server.target import Target
from loadtest.settings.fault import Fault, Needs

MARIADBS_LEAST = 10  # of max_connections


def check_faults(faults: list[Fault], target: Target, second: Target | None = None) -> None:
    """Raises :class:`UsageError` for what of ``faults`` cannot be done to the server of ``target``.

    ``second`` is the one that takes its place after a failover.
    """
    for fault in faults:
        if fault.kind.needs is Needs.SECOND and second is None:
            raise UsageError(
                f"fault {fault.text!r} cannot be on this server: there is no second one; let loadtest start "
                "both (--server docker or local)"
            )
        if fault.name == "rotate-password":
            Rotation(target).check(fault.text, keeps_old=fault.duration_s > 0)
        if fault.kind.needs is Needs.DISK:
            FullDisk(target).check(fault.text)
        if fault.kind.needs is Needs.PROCESS:
            try:
                process_of(target)
            except UsageError as error:
                raise UsageError(f"fault {fault.text!r} cannot be on this server: {error}") from None
        limit = fault.values.get("limit", MARIADBS_LEAST)
        if target.flavour == flavour.MARIADB and limit < MARIADBS_LEAST:
            raise UsageError(f"fault {fault.text!r}: MariaDB takes no limit below {MARIADBS_LEAST}")
    _check_rights([fault for fault in faults if fault.name in VARIABLES], target)


def _check_rights(faults: list[Fault], target: Target) -> None:
    """By setting each variable to what it is."""
    for fault in faults:
        variable = VARIABLES[fault.name]
        try:
            with connections.session(target.admin, ASK_S) as cursor:
                cursor.execute(f"SET GLOBAL {variable} = @@GLOBAL.{variable}")
        except pymysql.MySQLError as error:
            raise UsageError(
                f"fault {fault.text!r} cannot be on this server: {target.admin.user!r} may not set "
                f"{variable} ({connections.short(error)})"
            ) from None
