"""A search for the capacity: trials of each arm in turn, each a short run on the same server."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec

from loadtest.bench.bench import Bench, Tell
from loadtest.bench.interrupts import Interrupts
from loadtest.bench.strategy_check import checked
from loadtest.errors import Interrupted, UsageError
from loadtest.report.capacities import search
from loadtest.report.capacities.asked import Asked
from loadtest.results.provenance import machine, repeat_command, versions
from loadtest.results.run_folder import RunFolder
from loadtest.results.summary import CapacityTrial
from loadtest.server.choice import ServerChoice
from loadtest.server.launch import check, launched
from loadtest.server.target import Target
from loadtest.settings.durations import duration_text
from loadtest.settings.plan import Plan
from loadtest.settings.prices import prices_in
from loadtest.settings.profiles import profile_of
from loadtest.settings.reserved import reserved_alone
from loadtest.settings.strategy import arm_name, parse
from loadtest.settings.tags import tags_alone
from loadtest.settings.via import alone

OVERLOAD = 2.0  # times the load that holds
BEFORE_S, OVERLOAD_S, CALM_S = 3.0, 3.0, 3.0  # of a trial whether it holds again; then what counts begins
EDGE_S = 0.1  # from one level to the next
CONNECTIONS = "max-connections"

PlanAt = Callable[[Mapping[str, Any]], Plan]


class CapacitySearch:
    """One search. ``told`` is called with the arm and what a trial said."""

    def __init__(
        self,
        plan_at: PlanAt,
        asked: Asked,
        out: Path,
        interrupts: Interrupts,
        tell: Tell,
        told: Callable[[str, CapacityTrial], None],
        note: Callable[[str], None],
        warn: Callable[[str], None],
        budgets: Sequence[str] = (),
    ) -> None:
        """``plan_at`` makes the plan of a trial from what it changes, by option; ``out`` is the run's folder.

        ``budgets`` are stored with the run. ``tell``, ``note`` and ``warn`` as
        :class:`~loadtest.bench.bench.Bench` has them.
        """
        self._plan_at = plan_at
        self._plan = plan_at({})
        self._asked = msgspec.structs.replace(asked, has_overload=self._may_double(asked))
        self._interrupts = interrupts
        self._budgets = list(budgets)
        self._tell, self._told, self._note, self._warn = tell, told, note, warn
        self.folder = RunFolder(out)
        self.measured = False

    def __repr__(self) -> str:
        return f"<CapacitySearch over {self._asked.vary}, in {self.folder.path}>"

    def run(self, choice: ServerChoice) -> RunFolder:
        """Runs trials until each arm's search is over, or the time is.

        Raises whatever ends the run; the folder keeps the trials that were complete.
        """
        plan = self._plan
        if self._asked.vary == CONNECTIONS and choice.dsn is not None:
            raise UsageError(
                f"--vary {CONNECTIONS} needs a server that is started for it (--server docker or local): "
                "one that is given is never reconfigured"
            )
        strategies, left_out = checked(plan.strategies, plan, self._note)
        for text in left_out:
            self._warn(text)
        check(choice, plan.max_connections)
        self.folder = RunFolder.create(self.folder.path)
        try:
            with self._server(choice) as standing:
                self._write_run(standing, left_out)
                self._search(strategies, choice, standing)
        finally:
            if not self.measured:
                self.folder.remove()
        return self.folder

    @contextmanager
    def _server(self, choice: ServerChoice) -> Iterator[Target | None]:
        """The server of all trials; None if each has one of its own."""
        if self._asked.vary == CONNECTIONS:
            yield None
            return
        profile = profile_of(self._plan.profile)
        with launched(choice, self._plan.max_connections, profile=profile) as target:
            yield target

    def _search(self, strategies: list[str], choice: ServerChoice, standing: Target | None) -> None:
        from loadtest.report.budgets.grammar import parse_objective
        from loadtest.report.capacities.reading import Done, trial_of

        asked = self._asked
        axis, objective, within = asked.axis, parse_objective(asked.slo), asked.range
        ends_s, longest_s = time.monotonic() + asked.time_limit_s, 0.0
        open_arms = list(strategies)
        done: dict[str, list[Done]] = {arm_name(strategy): [] for strategy in strategies}
        # In turn, so that drift of the machine affects all arms; and each is tried once, whatever the time.
        while open_arms:
            for strategy in list(open_arms):
                arm = arm_name(strategy)
                wanted = search.next_trial([one.as_trial for one in done[arm]], within)
                is_over = bool(done[arm]) and time.monotonic() + longest_s > ends_s
                if wanted is None or is_over:
                    open_arms.remove(strategy)
                    continue
                began_s = time.monotonic()
                trial = self._try(strategy, axis.value(wanted[0]), wanted[1], choice, standing)
                done[arm].append(trial_of(self.folder, trial, arm, axis, objective))
                self._told(arm, done[arm][-1].trial)
                longest_s = max(longest_s, time.monotonic() - began_s)

    def _may_double(self, asked: Asked) -> bool:
        """Whether the load is one whose rate can be doubled for a while."""
        if asked.vary != "rate" or not is_steady(self._plan):
            return False
        try:
            self._plan_at({"rate": OVERLOAD * asked.high})
        except UsageError:  # more clients than there may be
            return False
        return True

    def _try(
        self, strategy: str, value: float, kind: str, choice: ServerChoice, standing: Target | None
    ) -> RunFolder:
        changes: dict[str, Any] = {
            self._asked.axis.option: value,
            **alone(strategy, self._plan.via),
            "tags": tags_alone(strategy, self._plan.tags),
            "reserved": reserved_alone(self._plan.reserved, [part.name for part in parse(strategy)]),
        }
        if kind == search.Kind.RECOVERY:
            changes |= self._overload(value)
        plan = self._plan_at({**changes, "repetitions": 1, "reruns": 0})
        path = self.folder.next_trial(arm_name(strategy))
        trial = {"value": value, "kind": str(kind)}
        server: AbstractContextManager[Target] = (
            launched(choice, plan.max_connections, profile=profile_of(plan.profile))
            if standing is None
            else nullcontext(standing)
        )
        bench = Bench(plan, path, self._interrupts, self._tell, (), self._note, self._warn, trial=trial)
        try:
            found = bench.run_on(server)
        except Interrupted:
            bench.folder.remove()  # it is not complete, so it says nothing
            raise
        except BaseException:
            if bench.folder.run.exists():  # its log may say why, but it is no trial
                bench.folder.run.rename(bench.folder.run.with_name("failed.json"))
            raise
        self.measured = True
        return found

    def _overload(self, value: float) -> dict[str, Any]:
        """``value``, then twice as much, then ``value`` again, of which the last part counts."""
        low, back_s = 1 / OVERLOAD, BEFORE_S + OVERLOAD_S
        points = (0.0, low), (BEFORE_S, low), (BEFORE_S + EDGE_S, 1.0), (back_s, 1.0), (back_s + EDGE_S, low)
        return {
            "rate": value * OVERLOAD,
            "shape": ",".join(f"{at_s:g}:{level:g}" for at_s, level in points),
            "warmup": f"{back_s + CALM_S:g}s",
            "duration": duration_text(back_s + CALM_S + self._plan.duration_s),
        }

    def _write_run(self, standing: Target | None, left_out: list[str]) -> None:
        self.folder.write_run(
            {
                "settings": msgspec.to_builtins(self._plan),
                "capacity": msgspec.to_builtins(self._asked),
                "server": standing.public() if standing is not None else {},
                "environment": {**machine(), "versions": versions()},
                "t0": time.time(),
                "command": repeat_command(sys.argv),
                "prices": msgspec.to_builtins(prices_in(self._plan.prices)),
                "budgets": self._budgets,
                "warnings": [*(standing.warnings if standing is not None else ()), *left_out],
            }
        )


def is_steady(plan: Plan) -> bool:
    """Whether the load of ``plan`` is the same at any time, so that a trial may be as short as one likes."""
    return plan.model == "open" and not (plan.shape or plan.ramp_s or plan.warmup_s or plan.deploy_at_s)
