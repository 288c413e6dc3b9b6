"""Another password for the functions' account, and the first one again at the end.

Sources: MySQL 8.4 manual, 8.2.15 "Password Management" (dual passwords); MariaDB knowledge base, "SET
PASSWORD".
"""

import secrets
from dataclasses import replace

import pymysql

from loadtest.errors import ServerUnavailable, UsageError
from loadtest.server import connections, flavour
from loadtest.server.target import Target
from loadtest.server.undo import put_back

ASK_S = 10.0


class Rotation:
    """The password of the functions' account on the server of ``target``."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._account = (target.functions.user, "%")  # as the server knows it, once it has been found
        self._is_changed = False

    def __repr__(self) -> str:
        return f"<Rotation of {self._target.functions.user!r}{', changed' if self._is_changed else ''}>"

    def check(self, text: str, *, keeps_old: bool) -> None:
        """Raises :class:`UsageError` if fault ``text`` cannot be here, found by setting the password to what
        it is. ``keeps_old``: the old one is to hold on for a while."""
        functions, admin = self._target.functions, self._target.admin
        problem = ""
        if keeps_old and self._target.flavour == flavour.MARIADB:
            problem = "MariaDB keeps no old password beside a new one: leave out its +DURATION"
        elif admin.user == functions.user:
            problem = (
                f"the harness uses the account {functions.user!r}, too, and would be locked out: name "
                f"another one in {connections.ADMIN_VARIABLE}"
            )
        elif not functions.password:
            problem = f"{functions.user!r} has no password that could change"
        else:
            self.find_account()
            try:
                self._change(functions.password, keeps_old=False)
                connections.connect(functions, ASK_S).close()  # the server's cache of passwords is warm again
            except pymysql.MySQLError as error:
                said = connections.short(error)
                problem = f"{admin.user!r} may not set the password of {functions.user!r} ({said})"
        if problem:
            raise UsageError(f"fault {text!r} cannot be on this server: {problem}")

    def find_account(self) -> None:
        """Before the load, while the first password holds and a connection is free.

        Raises :class:`ServerUnavailable`.
        """
        with connections.session(self._target.functions, ASK_S) as cursor:
            cursor.execute("SELECT CURRENT_USER()")
            user, _, host = str((cursor.fetchone() or ("",))[0]).rpartition("@")
        self._account = user, host

    def rotate(self, *, keeps_old: bool) -> str:
        """Returns the new password, which holds by then. ``keeps_old``: so does the one before.

        Raises :class:`ServerUnavailable`.
        """
        new = f"Lt1-{secrets.token_hex(14)}"  # of every kind that a server may want, and 32 characters
        self._is_changed = True
        try:
            self._change(new, keeps_old=keeps_old)
        except pymysql.MySQLError as error:
            raise ServerUnavailable(f"the password cannot be changed: {connections.short(error)}") from None
        return new

    def discard_old(self) -> None:
        """From now on only the newest password holds. Raises :class:`ServerUnavailable`."""
        try:
            self._discard()
        except pymysql.MySQLError as error:
            raise ServerUnavailable(
                f"the old password cannot be discarded: {connections.short(error)}"
            ) from None

    def put_back(self) -> None:
        """The first password again, and no other, if it was changed. Raises :class:`ServerUnavailable`."""
        if self._is_changed:
            user = self._target.functions.user
            put_back(self._set_first, f"the password of {user!r}", "set it again by hand")

    def _set_first(self) -> None:
        functions = self._target.functions
        self._change(functions.password, keeps_old=False)
        self._discard()
        # By a login: it shows that it is so, and the server's cache of passwords is warm again.
        connections.connect(functions, ASK_S).close()
        self._is_changed = False

    def take_over(self, password: str) -> None:
        """The account gets ``password``, that of another server, for good.

        Raises :class:`ServerUnavailable`.
        """
        try:
            self._change(password, keeps_old=False)
        except pymysql.MySQLError as error:
            raise ServerUnavailable(f"the password cannot be changed: {connections.short(error)}") from None

    def _change(self, password: str, *, keeps_old: bool) -> None:
        words = "ALTER USER %s@%s IDENTIFIED BY %s" + (" RETAIN CURRENT PASSWORD" if keeps_old else "")
        if self._target.flavour == flavour.MARIADB:
            # Not its ALTER USER, which may change the account's plugin.
            words = "SET PASSWORD FOR %s@%s = PASSWORD(%s)"
        with connections.session(self._target.admin, ASK_S) as cursor:
            cursor.execute(words, (*self._account, password))

    def _discard(self) -> None:
        if self._target.flavour == flavour.MARIADB:
            return
        with connections.session(self._target.admin, ASK_S) as cursor:
            cursor.execute("ALTER USER %s@%s DISCARD OLD PASSWORD", self._account)


def replaced_by(second: Target, first: Target) -> Target:
    """``second`` with the functions' password of ``first``, which it gets here: functions know only that one.

    Raises :class:`ServerUnavailable`.
    """
    password = first.functions.password
    Rotation(second).take_over(password)
    functions = replace(second.functions, password=password)
    with connections.session(functions, ASK_S):  # the server's cache of passwords is warm
        return replace(second, functions=functions)
