"""The connection manager for MySQL behind serverless functions. Needs PyMySQL only."""

from loadtest.manager.connection import ConnectionManager
from loadtest.manager.errors import AnswerLost, NoConnection, QueryTimeout, SessionLost, TransactionLost
from loadtest.manager.policy import Classic, Managed
from loadtest.manager.running import Result
from loadtest.manager.stats import Stats
from loadtest.manager.transaction import Transaction

__all__ = [
    "AnswerLost", "Classic", "ConnectionManager", "Managed", "NoConnection", "QueryTimeout", "Result",
    "SessionLost", "Stats", "Transaction", "TransactionLost",
]  # fmt: skip
