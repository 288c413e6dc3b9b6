"""How well the clocks of workers on other machines are known, in words."""

TOLERATED_S = 0.005  # what a stall of the generator may be, too


def clock_warning(error_s: float) -> str:
    """The words for clocks of which the worst is known to within ``error_s``; "" if that is good enough."""
    if error_s <= TOLERATED_S:
        return ""
    return f"a worker's clock, and so its due times, are known to within {error_s * 1000:.0f} ms only"
