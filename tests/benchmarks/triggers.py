"""What happens to a server under a steady load, and how soon the load is answered again afterwards.

`python -m tests.benchmarks.triggers --rates 500,1000 --strategies managed,ideal --repetitions 3` starts a
server of its own, runs each strategy at each rate, and in the middle of each run:

* `freeze`: the server's process stops for 2.5 s;
* `starve`: it has 1 ms in 20 for 5 s;
* `deploy`: all containers are replaced at once, and leave their connections;
* `kill`: a third of the functions' connections are killed;
* `halve`: `max_connections` is halved for 10 s;
* `neighbour`: another client holds 60 connections for 10 s.

For each it prints the seconds from the trigger's end until at least 99% of the arrivals of each later second
were good ("> 12": not within the 12 that it watched), and the share of good answers before and meanwhile.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click
import numpy as np
import pymysql

from loadtest.report.frame_reader import read_repetition
from loadtest.report.frames import column
from loadtest.results.files import read_json
from loadtest.results.rows import latency
from loadtest.results.run_folder import Repetition, RunFolder
from loadtest.server import connections
from loadtest.server.choice import ServerChoice
from loadtest.server.launch import launched
from loadtest.settings.strategy import arm_name
from tests.server.pressure import server_process
from tests.simulator.tables import table
from tests.waiting import wait_until

CONNECTIONS_COUNT = 90
GOOD_RATIO, GOOD_S = 0.99, 1.0
RAMP_S, STEADY_S, AFTER_S = 5.0, 5.0, 12.0  # before the trigger, and after its end


# Each takes the server's target and how many seconds it lasts


def freeze(target, length_s):
    process = server_process(target)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        time.sleep(length_s)
    finally:
        os.kill(process.pid, signal.SIGCONT)


def starve(target, length_s):
    process, ends_s = server_process(target), time.monotonic() + length_s
    try:
        while time.monotonic() < ends_s:
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(0.019)
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.001)
    finally:
        os.kill(process.pid, signal.SIGCONT)


def kill(target, _length_s):
    with connections.session(target.admin) as cursor:
        sql = "SELECT id FROM information_schema.processlist WHERE user = %s"
        cursor.execute(sql, (target.functions.user,))
        for (thread_id,) in cursor.fetchall()[::3]:
            with suppress(pymysql.Error):  # it went by itself
                cursor.execute(f"KILL {thread_id:d}")


def halve(target, length_s):
    with connections.session(target.admin) as cursor:
        cursor.execute(f"SET GLOBAL max_connections = {CONNECTIONS_COUNT // 2}")
        try:
            time.sleep(length_s)
        finally:
            cursor.execute(f"SET GLOBAL max_connections = {CONNECTIONS_COUNT}")


def neighbour(target, length_s):
    ends_s = time.monotonic() + length_s
    with ExitStack() as held:
        count = 0
        while count < 60 and time.monotonic() < ends_s:
            try:
                connection = connections.connect(target.functions)
            except pymysql.Error:
                time.sleep(0.01)  # full for a moment
                continue
            held.callback(connection.close)
            count += 1
        time.sleep(max(0.0, ends_s - time.monotonic()))


def deploy(_target, _length_s):
    """The fleet does it, by its own option."""


TRIGGERS = {
    "freeze": (freeze, 2.5), "starve": (starve, 5.0), "deploy": (deploy, 0.0), "kill": (kill, 0.0),
    "halve": (halve, 10.0), "neighbour": (neighbour, 10.0),
}  # fmt: skip


def run(target, folder, strategy, rate, name, after_s):
    """The repetition of ``strategy``, and when the trigger began and ended, in seconds since its ``t0``."""
    trigger, length_s = TRIGGERS[name]
    at_s = RAMP_S + STEADY_S
    words = [
        "bench", "burst", "--server", target.functions.url(), "--out", str(folder),
        "--strategies", strategy, "--rate", str(rate), "--work-ms", "5", "--ramp", f"{RAMP_S}s",
        "--duration", f"{at_s + length_s + after_s}s", "--processes", "2",
        "--repetitions", "1", "--reruns", "0", *(["--deploy-at", f"{at_s}s"] if name == "deploy" else []),
    ]  # fmt: skip
    command = [sys.executable, "-m", "loadtest", *words]
    environment = {**os.environ, "LOADTEST_ADMIN_DSN": target.admin.url()}
    with tempfile.TemporaryFile() as said:
        bench = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            metas = f"arms/{arm_name(strategy)}/*/repetition.json"
            wait_until(lambda: bench.poll() is not None or list(folder.glob(metas)), 60, "a repetition")
            path = next(folder.glob(metas), None)
            if path is None:
                said.seek(0)
                raise click.ClickException(said.read().decode())
            repetition = Repetition(path.parent)
            start_s = wait_until(lambda: repetition.read_meta().get("start_s"), 60, "its start")
            t0_s = read_json(folder / "run.json")["t0"]
            time.sleep(max(0.0, t0_s + start_s + at_s - time.time()))
            began_s = time.time() - t0_s
            trigger(target, length_s)
            ended_s = time.time() - t0_s
            bench.wait(after_s + 60)
        finally:
            bench.terminate()  # it takes its load down with it
            bench.wait(60)
    return RunFolder.open(folder).repetitions(arm_name(strategy))[0], began_s, ended_s


def recovery(repetition, began_s, ended_s):
    """``(seconds, watched, before, meanwhile)``: until it is good again, and good answers before and then."""
    frames = read_repetition(repetition)
    rows = frames.invocations
    due_s, finished_s, cold_start_s = (column(rows, name) for name in ("due_s", "finished_s", "cold_start_s"))
    good = (rows["error"] == "").to_numpy() & (latency(due_s, finished_s, cold_start_s) <= GOOD_S)
    watched = int(frames.deadline_s - ended_s)
    by_second = [ratio(good, due_s, ended_s + n, ended_s + n + 1) for n in range(watched)]
    bad = [number for number, one in enumerate(by_second) if not one >= GOOD_RATIO]
    seconds = bad[-1] + 1 if bad else 0
    return seconds, watched, ratio(good, due_s, began_s - 2, began_s), ratio(good, due_s, began_s, ended_s)


def ratio(good, due_s, from_s, until_s):
    chosen = (due_s >= from_s) & (due_s < until_s)
    return float(good[chosen].mean()) if chosen.any() else np.nan


def percent(values):
    mean = np.mean(values)
    return "\N{EN DASH}" if np.isnan(mean) else f"{mean:.1%}"


def listed(kind):
    return lambda _ctx, _parameter, text: [kind(part) for part in text.split(",")]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--server", default="auto", help="where: auto, docker or local")
@click.option("--strategies", default="managed,ideal", callback=listed(str), help="with commas between them")
@click.option("--rates", default="500,1000", callback=listed(int), help="arrivals per second")
@click.option("--triggers", "names", default=",".join(TRIGGERS), callback=listed(str), help="which of them")
@click.option("--repetitions", default=3, help="of each, interleaved")
@click.option("--after", "after_s", default=AFTER_S, help="seconds of load after the trigger's end")
def main(server, strategies, rates, names, repetitions, after_s):
    """Measure how soon strategies recover from what happens to their server."""
    unknown = [name for name in names if name not in TRIGGERS]
    if unknown:
        raise click.UsageError(f"there is no trigger {unknown[0]}: choose from {', '.join(TRIGGERS)}")
    lines = []
    with launched(ServerChoice.parse(server), CONNECTIONS_COUNT) as target, ExitStack() as stack:
        folders = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="triggers-")))
        for rate in rates:
            for name in names:
                found = {strategy: [] for strategy in strategies}
                for number in range(repetitions):
                    for strategy in strategies:
                        folder = folders / f"{rate}-{name}-{strategy}-{number}"
                        found[strategy].append(recovery(*run(target, folder, strategy, rate, name, after_s)))
                for strategy, outcomes in found.items():
                    seconds = ", ".join(
                        f"> {one[1]}" if one[0] >= one[1] else str(one[0]) for one in outcomes
                    )
                    before, meanwhile = (percent([one[n] for one in outcomes]) for n in (2, 3))
                    lines.append([f"{rate}/s {name} `{strategy}`", seconds, before, meanwhile])
                    click.echo(f"{' · '.join(lines[-1])}", err=True)
    columns = ["load, trigger, strategy", "good again after s, each try", "good before", "good meanwhile"]
    click.echo(table(columns, lines))


if __name__ == "__main__":
    main()
