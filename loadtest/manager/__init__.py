"""The connection manager for MySQL behind serverless functions. Needs PyMySQL only."""

from loadtest.manager.behind_proxy import BehindProxy
from loadtest.manager.breaker import CircuitBreaker, CircuitOpen
from loadtest.manager.classic import Classic
from loadtest.manager.connection import ConnectionManager
from loadtest.manager.errors import AnswerLost, NoConnection, QueryTimeout, SessionLost, TransactionLost
from loadtest.manager.managed import Managed
from loadtest.manager.policy import Policy
from loadtest.manager.result import Result
from loadtest.manager.stats import Stats
from loadtest.manager.stream import Stream
from loadtest.manager.transaction import Transaction
from loadtest.manager.transaction_chain import TransactionChain

__all__ = [
    "AnswerLost", "BehindProxy", "CircuitBreaker", "CircuitOpen", "Classic", "ConnectionManager", "Managed",
    "NoConnection", "Policy", "QueryTimeout", "Result", "SessionLost", "Stats", "Stream", "Transaction",
    "TransactionChain", "TransactionLost",
]  # fmt: skip
