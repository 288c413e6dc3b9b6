"""Databases as a service, by class or capacity: how many connections and CPUs, how much memory. Pure.

Sources, read in November 2026. The Aurora MySQL user guide: "Default connection limits", and "Maximum
connections for Aurora Serverless v2" (max_connections follows the largest capacity, and stays at that).
The RDS user guide: "Quotas and constraints" ({DBInstanceClassMemory/12582880}), and "Hardware
specifications" (CPUs and memory).
"""

from typing import NamedTuple

from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest

READ = "November 2026"
RDS_BYTES_PER_CONNECTION = 12_582_880
GIB = 2**30
ACU_GIB = 2.0
# AWS says "corresponding CPU" only: that of its memory-optimised classes, which have 8 GiB for a CPU.
ACU_CPUS = ACU_GIB / 8


class Profile(NamedTuple):
    """``max_connections`` is the default there; ``source`` is the page of AWS that says so."""

    name: str
    max_connections: int
    cpus: float
    memory_gib: float
    source: str


def _aurora(name: str, max_connections: int, cpus: float, memory_gib: float) -> Profile:
    return Profile(f"aurora.{name}", max_connections, cpus, memory_gib, "Aurora: Default connection limits")


def _serverless(acus: float, max_connections: int) -> Profile:
    page = "Aurora Serverless v2: Maximum connections"
    return Profile(f"aurora.v2-{acus:g}", max_connections, acus * ACU_CPUS, acus * ACU_GIB, page)


def _rds(name: str, cpus: float, memory_gib: float) -> Profile:
    # Of its whole memory: what RDS keeps for itself makes it a few less in life.
    most = int(memory_gib * GIB / RDS_BYTES_PER_CONNECTION)
    return Profile(f"rds.{name}", most, cpus, memory_gib, "RDS: Quotas and constraints (formula)")


PROFILES = {
    profile.name: profile
    for profile in (
        _aurora("t4g.small", 45, 2, 2), _aurora("t4g.medium", 90, 2, 4), _aurora("t4g.large", 135, 2, 8),
        _aurora("r6g.large", 1_000, 2, 16), _aurora("r6g.xlarge", 2_000, 4, 32),
        _aurora("r6g.2xlarge", 3_000, 8, 64), _aurora("r6g.4xlarge", 4_000, 16, 128),
        _aurora("r6g.8xlarge", 5_000, 32, 256),
        _serverless(1, 90), _serverless(4, 135), _serverless(8, 1_000), _serverless(16, 2_000),
        _serverless(32, 3_000), _serverless(64, 4_000), _serverless(128, 5_000),
        _rds("t4g.micro", 2, 1), _rds("t4g.small", 2, 2), _rds("t4g.medium", 2, 4), _rds("t4g.large", 2, 8),
        _rds("m7g.large", 2, 8), _rds("m7g.xlarge", 4, 16), _rds("r7g.large", 2, 16),
        _rds("r7g.xlarge", 4, 32),
    )
}  # fmt: skip


def profile_of(name: str) -> Profile | None:
    """The profile called ``name``; None for "". Raises :class:`UsageError` with the nearest name."""
    if not name:
        return None
    if name not in PROFILES:
        raise UsageError(
            f"unknown profile {name!r}{nearest(name, PROFILES)}; `loadtest profiles` lists them, and "
            "--max-connections gives any other size"
        )
    return PROFILES[name]
