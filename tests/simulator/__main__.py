"""``python -m tests.simulator``: calibrate, run, validate, map."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import click
import msgspec
import numpy as np

from loadtest.errors import LoadtestError
from loadtest.manager import Managed
from loadtest.results.parquet import read_rows
from loadtest.results.run_folder import RunFolder
from loadtest.server.choice import ServerChoice
from loadtest.server.launch import launched
from loadtest.settings.plan import Plan
from loadtest.settings.scenario import plan_with
from tests.simulator.repetition import Outcome, World
from tests.simulator.server import MEASURED, Costs
from tests.simulator.tables import STRATEGIES, TOLD, cells, map_markdown, map_svg, outcomes, table, told
from tests.simulator.variants import POLICIES

RATES = (250, 500, 1000, 2000, 4000)
WORKS_MS = (5.0, 20.0, 100.0)
LIMITS = (45, 90, 500)
# As many containers as it takes: here the functions' own limits are not the question.
UNLIMITED = {"concurrency_limit": 100_000, "scaling_per_10s": 100_000}


def costs_option(command):
    file = click.option("--costs", type=click.Path(exists=True), help="a file that calibrate has written")
    scale = click.option("--scale", default=1.0, help="costs of this machine, as a multiple (default 1)")
    return file(scale(command))


def costs_of(path, scale):
    return (Costs.read(path) if path else MEASURED).scaled(scale)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """Simulate functions, their fleet and a server."""


@main.command()
@click.option("--server", default="auto", help="where: auto, docker, local or a DSN")
@click.option("--count", default=2000, help="how many operations of each kind")
def calibrate(server, count):
    """Measure on this machine what each operation costs; prints JSON for --costs. Takes about a minute."""
    with launched(ServerChoice.parse(server), 90) as target:
        words = [sys.executable, "-m", "tests.simulator.measured", target.functions.url(), str(count)]
        found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    # A connect was measured with its goodbye.
    costs = MEASURED
    found["connect_s"] = max(0.0, found["connect_s"] - costs.close_s)
    found["server_connect_s"] = max(0.0, found["server_connect_s"] - costs.server_close_s)
    click.echo(
        json.dumps({**asdict(costs), **{name: round(value, 7) for name, value in found.items()}}, indent=2)
    )


@main.command()
@click.argument("scenario", default="burst")
@click.option("--strategies", default=",".join(STRATEGIES), help="which, with commas between them")
@click.option("--set", "values", multiple=True, help="an option of the run, such as rate=1500; repeatable")
@click.option("--patience", "patience_s", type=float, help="managed gives up after so many seconds")
@click.option(
    "--lease", "lease_s", type=float, help="seconds that a lease lasts, which no server has below 1"
)
@click.option("--own-cpu", is_flag=True, help="functions do not share the server's CPU")
@click.option("--cores", default=2, help="cores of the machine, or with --own-cpu of the server")
@costs_option
def run(scenario, strategies, values, patience_s, lease_s, own_cpu, cores, costs, scale):
    """Simulate a scenario."""
    odd = [value for value in values if "=" not in value]
    if odd:
        raise click.UsageError(f"--set {odd[0]} is not name=value, such as rate=1500")
    plan = plan_with(scenario, dict(value.split("=", 1) for value in values))
    names = strategies.split(",")
    world = World(plan, costs_of(costs, scale), not own_cpu, cores, lease_s)
    chosen = {} if patience_s is None else {"managed": Managed(patience_s=patience_s)}
    unknown = set(names) - {*STRATEGIES, *POLICIES}
    if unknown:
        known = ", ".join(dict.fromkeys((*STRATEGIES, *POLICIES)))
        raise click.UsageError(f"no strategy {', '.join(sorted(unknown))}; there are {known}")
    found = outcomes([(chosen.get(name, name), world) for name in names])
    click.echo(
        table(
            ["strategy", *TOLD],
            [[f"`{n}`", *told(o, plan.slo_ms / 1000)] for n, o in zip(names, found, strict=True)],
        )
    )


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@costs_option
def validate(folders, costs, scale):
    """Simulate what real runs measured, and print both. FOLDERS are run folders."""
    rows = []
    for folder in map(RunFolder.open, folders):
        plan = plan_of(folder)
        arms = [arm for arm in STRATEGIES if arm in folder.arms()]
        simulated = outcomes([(arm, World(plan, costs_of(costs, scale))) for arm in arms])
        for arm, outcome in zip(arms, simulated, strict=True):
            for repetition in folder.repetitions(arm):
                rows.append(
                    [f"{plan.rate:,.0f}/s `{arm}`, measured", *told(measured(repetition), plan.slo_ms / 1000)]
                )
            rows.append([f"{plan.rate:,.0f}/s `{arm}`, simulated", *told(outcome, plan.slo_ms / 1000)])
    click.echo(table(["run", *TOLD], rows))


def plan_of(folder):
    """The plan that a run was made with; fields that this version does not know are ignored."""
    stored = folder.read_run()["settings"]
    return msgspec.convert(
        {name: value for name, value in stored.items() if name in Plan.__struct_fields__}, Plan
    )


def measured(repetition):
    """A real repetition as an outcome. CPU is the machine's, the median of its seconds."""
    found, _ = read_rows(repetition, "invocations")
    column = {name: found.column(name).to_numpy(zero_copy_only=False) for name in found.column_names}
    error = np.array([text.split(" ", 1)[0] for text in column["error"]])
    start_s = column["due_s"].min()
    seconds = [
        float(row["machine_cpu_ratio"])
        for row in repetition.csv_rows(repetition.generator)
        if row["machine_cpu_ratio"] not in ("", "machine_cpu_ratio")
        and row["in_flight_count"] not in ("", "0")
    ]
    return Outcome(
        column["due_s"] - start_s,
        column["finished_s"] - column["due_s"] - column["cold_start_s"],
        error,
        int(column["connects_count"].sum()),
        int(column["retries_count"].sum() + (error == "1040").sum()),
        float(np.median(seconds)) if seconds else float("nan"),
    )


@main.command("map")
@click.option("--svg", type=click.Path(path_type=Path), help="draw the picture into this file, too")
@click.option("--duration", default="8s", help="of each simulated run")
@click.option("--shares-cpu", is_flag=True, help="functions share the server's two cores, as in a run here")
@costs_option
def map_(svg, duration, shares_cpu, costs, scale):
    """Every strategy over rate, work and connections: good answers, and p99 after 3 s against ideal's."""
    chosen = costs_of(costs, scale)

    def world(rate, work_ms, limit):
        values = {
            "rate": rate,
            "work_ms": work_ms,
            "max_connections": limit,
            "duration": duration,
            "processes": 2,
        }
        return World(plan_with("burst", {**values, **UNLIMITED}), chosen, shares_cpu)

    found = cells(world, RATES, WORKS_MS, LIMITS)
    click.echo(map_markdown(found, RATES))
    if svg:
        svg.write_text(map_svg(found, RATES), "utf-8")


if __name__ == "__main__":
    try:
        main()
    except LoadtestError as error:
        click.echo(f"simulator: {error}", err=True)
        sys.exit(error.exit_code)
