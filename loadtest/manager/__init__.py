"""The connection manager for MySQL behind serverless functions. Needs PyMySQL only."""

from loadtest.manager.connection import ConnectionManager, Result
from loadtest.manager.errors import AnswerLost, NoConnection
from loadtest.manager.policy import Classic, Managed
from loadtest.manager.transaction import Transaction

__all__ = ["AnswerLost", "Classic", "ConnectionManager", "Managed", "NoConnection", "Result", "Transaction"]
