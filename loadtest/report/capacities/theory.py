"""What a pool of connections can carry at most: Little's law, and a queue with as many servers. Pure.

Sources: J. D. C. Little, "A proof for the queuing formula L = λW", 1961; H. C. Tijms, "A First Course in
Stochastic Models", 2003, chapter 9 (waits of M/M/c, and of M/D/c as their approximation, which decays twice
as fast).
"""

from math import inf, log

STEPS_COUNT = 60  # of the bisection: beyond what a float can tell


def little_per_s(connections_count: float, hold_s: float) -> float:
    """The rate at which ``connections_count`` are all in use, each held for ``hold_s`` by an invocation."""
    return connections_count / hold_s


def wait_s(rate: float, connections_count: int, hold_s: float, share: float) -> float:
    """The wait that ``share`` of the arrivals stay within, in seconds.

    Args:
        rate: Poisson arrivals per second.
        connections_count: that are held for a fixed time each.
        hold_s: that time, in seconds.
        share: such as 0.99.
    """
    offered = rate * hold_s
    if offered >= connections_count:
        return inf
    waits = _erlang_c(offered, connections_count)
    if waits <= 1 - share:
        return 0.0
    decay_per_s = 2 * (connections_count - offered) / hold_s
    return log(waits / (1 - share)) / decay_per_s


def mdc_per_s(connections_count: int, hold_s: float, limit_s: float, share: float = 0.99) -> float:
    """The highest rate at which ``share`` of the answers take at most ``limit_s``; 0 if none does.

    Arguments as :func:`wait_s` has them.
    """
    low, high = 0.0, little_per_s(connections_count, hold_s)
    if hold_s > limit_s:
        return 0.0
    for _ in range(STEPS_COUNT):
        middle = (low + high) / 2
        if wait_s(middle, connections_count, hold_s, share) + hold_s <= limit_s:
            low = middle
        else:
            high = middle
    return low


def _erlang_c(offered: float, servers_count: int) -> float:
    """The probability of having to wait: Erlang's C, by the recursion of his B, which does not overflow."""
    if offered <= 0:
        return 0.0
    inverse = 1.0
    for number in range(1, servers_count + 1):
        inverse = 1 + inverse * number / offered
    blocked = 1 / inverse
    return blocked / (1 - offered / servers_count * (1 - blocked))
