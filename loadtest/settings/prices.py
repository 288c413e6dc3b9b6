"""What functions, databases and proxies cost: ``prices.toml``, or a file of the user's own in its form."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest
from loadtest.settings.profiles import ACU_CPUS, PROFILES

HOURS_OF_MONTH = 730.0  # as AWS's own calculator has it
ACU = "acu"
SERVERLESS = "aurora.v2-"

Price = Annotated[float, Meta(ge=0, le=1e9)]


class FunctionPrices(Struct, frozen=True, forbid_unknown_fields=True):
    """In US dollars, for a million requests and for a GB-second."""

    million_requests: Price
    gb_second: Price


class ProxyPrices(Struct, frozen=True, forbid_unknown_fields=True):
    """In US dollars an hour, for each vCPU or ACU of the database, and for so many of them at least."""

    vcpu: Price
    acu: Price
    least_vcpus: Price = 0.0
    least_acus: Price = 0.0


class Prices(Struct, frozen=True, forbid_unknown_fields=True):
    """``database_hour`` is in US dollars, by profile; of Serverless v2 for an ACU."""

    functions: FunctionPrices
    database_hour: dict[str, Price]
    proxy_hour: ProxyPrices
    region: str = ""
    date: str = ""
    source: str = ""

    def database_month_usd(self, profile: str) -> float | None:
        """A month of the database of this ``profile``; None if its price is not known.

        Serverless v2 at its largest capacity, which is the most that it can cost.
        """
        hour = self.database_hour.get(profile)
        if hour is None and profile.startswith(SERVERLESS) and ACU in self.database_hour:
            hour = self.database_hour[ACU] * PROFILES[profile].cpus / ACU_CPUS
        return None if hour is None else hour * HOURS_OF_MONTH

    def proxy_month_usd(self, profile: str) -> float | None:
        """A month of RDS Proxy in front of a database of this ``profile``; None for no profile."""
        known, hour = PROFILES.get(profile), self.proxy_hour
        if known is None:
            return None
        if profile.startswith(SERVERLESS):
            return hour.acu * max(hour.least_acus, known.cpus / ACU_CPUS) * HOURS_OF_MONTH
        return hour.vcpu * max(hour.least_vcpus, known.cpus) * HOURS_OF_MONTH


def prices_text() -> str:
    """The file of the package."""
    return (resources.files("loadtest") / "settings" / "prices.toml").read_text("utf-8")


def prices_in(file: str) -> Prices:
    """The prices of a TOML ``file``, or "" for those of the package. Raises :class:`UsageError`."""
    where = f"prices {file!r}"
    try:
        text = Path(file).read_text("utf-8") if file else prices_text()
        found = msgspec.convert(tomllib.loads(text), Prices)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{where} cannot be read: {error}") from None
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}; `loadtest prices` prints a file to begin with") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not TOML: {error}") from None
    for name in found.database_hour:
        if name != ACU and name not in PROFILES:
            raise UsageError(
                f"{where}: no profile is called {name!r}{nearest(name, PROFILES)}; see loadtest profiles"
            )
    return found
