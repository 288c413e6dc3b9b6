"""Every figure of an arm as SQL over the files of one repetition, written from its definition.

The definitions are the docstrings of ``loadtest/results/summary.py`` and ``loadtest/results/rows.py``.
Nothing here shares code with ``loadtest/report``.
"""

import json
from typing import Any

import duckdb

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}

LEDGER = [
    f"{name}_count"
    for name in ("acknowledged", "lost", "doubled", "unknown", "unknown_written", "unexpected")
]
VIEWS = """
CREATE VIEW arrived AS  -- the window: due in [start and warm-up, deadline)
    SELECT invocations.* FROM invocations, run WHERE due_s >= from_s AND due_s < deadline_s;
CREATE VIEW answered AS
    SELECT 1000 * (finished_s - due_s - cold_start_s) AS latency_ms,
        1000 * (finished_s - started_s) AS duration_ms
    FROM arrived WHERE error = '';
CREATE VIEW seconds AS  -- a row is written at the end of the second that it describes
    SELECT generator.* FROM generator, run WHERE at_s > from_s AND at_s <= deadline_s;
CREATE VIEW firsts AS  -- the first invocation of each container of a real function
    SELECT 1000 * (finished_s - started_s) AS first_ms FROM (
        SELECT *, row_number() OVER (PARTITION BY container ORDER BY started_s NULLS LAST) AS turn
        FROM invocations
    ) WHERE turn = 1 AND error = '' AND container IN (SELECT container FROM starts);
CREATE VIEW left_behind AS  -- reaped while the server still had them
    SELECT reaped_s, gone_s FROM connections
    WHERE reaped_s IS NOT NULL AND (gone_s IS NULL OR gone_s >= reaped_s);
CREATE VIEW stalls AS
    SELECT worker, started_s AS a_s, finished_s AS z_s FROM lags WHERE finished_s - started_s > 0.005
    UNION ALL SELECT worker, at_s - 1, at_s FROM generator WHERE machine_cpu_ratio > 0.9;
CREATE VIEW pieces AS  -- of time that no two stalls share
    SELECT DISTINCT worker, a_s, z_s FROM (
        SELECT worker, t_s AS a_s, lead(t_s) OVER (PARTITION BY worker ORDER BY t_s) AS z_s
        FROM (SELECT worker, a_s AS t_s FROM stalls UNION SELECT worker, z_s FROM stalls)
    ) AS edges WHERE EXISTS (
        SELECT 1 FROM stalls s WHERE s.worker = edges.worker AND s.a_s <= edges.a_s AND s.z_s >= edges.z_s
    );
CREATE VIEW timed AS
    SELECT *, coalesce(finished_s, started_s) AS end_s FROM arrived WHERE started_s IS NOT NULL;
CREATE VIEW disturbed AS
    SELECT (
        SELECT coalesce(sum(greatest(0, least(p.z_s, t.end_s) - greatest(p.a_s, t.due_s))), 0)
        FROM pieces p WHERE p.worker = t.worker
    ) > 0.05 * greatest(0, t.end_s - t.due_s - t.cold_start_s) AS is_disturbed
    FROM timed t;
CREATE VIEW victims AS  -- of each KILL that was carried out, the connection that had this id then
    SELECT k.at_s, c.* FROM (SELECT *, row_number() OVER () AS number FROM kills WHERE error = '') k
    JOIN connections c ON c.server_id = k.server_id AND c.opened_s <= k.at_s
    QUALIFY row_number() OVER (PARTITION BY k.number ORDER BY c.opened_s DESC) = 1;
CREATE VIEW hits AS
    SELECT v.reaped_s <= v.at_s AS was_zombie, coalesce((
        SELECT arg_max(i.finished_s IS NULL OR i.finished_s > v.at_s, i.started_s) FROM invocations i
        WHERE i.worker = v.worker AND i.container = v.container AND i.started_s <= v.at_s
    ), false) AS was_busy
    FROM victims v  -- a second is how long a KILL may be on its way
    WHERE v.container >= 0
        AND coalesce(v.closed_s >= v.at_s - 1, true) AND coalesce(v.gone_s >= v.at_s - 1, true);
CREATE VIEW refusals AS SELECT at_s, refused_count FROM samples WHERE refused_count IS NOT NULL;
CREATE VIEW tried AS  -- the attempts at the events of the window
    SELECT t.*, coalesce(sum((t.error <> '' AND t.container >= 0)::INT) OVER (
        PARTITION BY t.worker, t.client, t.arrival ORDER BY t.invocation
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0) AS failed_before
    FROM attempts t WHERE EXISTS (
        SELECT 1 FROM arrived a WHERE a.worker = t.worker AND a.client = t.client AND a.arrival = t.arrival
    );
CREATE VIEW invoked AS  -- what is billed: each batch once, or the arrivals where there is no queue
    SELECT container, started_s, finished_s, cold, cold_start_s FROM (
        SELECT *, row_number() OVER (
            PARTITION BY worker, invocation ORDER BY cold DESC, client, arrival
        ) AS turn FROM tried
    ) WHERE turn = 1
    UNION ALL SELECT container, started_s, finished_s, cold, cold_start_s FROM arrived
    WHERE NOT EXISTS (SELECT 1 FROM attempts);
CREATE VIEW billed AS  -- whole milliseconds of what ran, and of what came up
    SELECT ceil(1000 * (coalesce(finished_s - started_s, 0) + CASE WHEN cold THEN cold_start_s + coalesce((
        SELECT any_value(connect_s) FROM starts s WHERE s.container = a.container
    ), 0) ELSE 0 END) - 1e-6) AS ms
    FROM invoked a WHERE cold OR finished_s - started_s IS NOT NULL;
CREATE VIEW million AS  -- an eighth of a GB
    SELECT avg(ms) AS ms, count(*) AS n, 0.2 + 1e6 * sum(ms) / 1000 / 8 / count(*) * 0.00002 AS usd
    FROM billed;
CREATE VIEW functions_cost AS
    SELECT ms, CASE WHEN n > 0 THEN usd END AS million_usd,
        usd / 1e6 * n * 730 * 3600 / (least(deadline_s, ended_s) - from_s) AS month_usd
    FROM million, run;
CREATE VIEW database_cost AS SELECT 73 * is_priced * (1 - coalesce((
        SELECT sum(greatest(0, least(coalesce(end_s, deadline_s), deadline_s) - greatest(begin_s, start_s)))
            / any_value(deadline_s - start_s) FROM pauses, run
    ), 0)) AS month_usd, 21.9 * is_through AS proxy_usd, least(deadline_s, ended_s) AS until_s, from_s
    FROM run WHERE is_priced = 1;
CREATE VIEW queued AS
    SELECT s.second, w.worker, (
        SELECT max(queued_count) FROM generator g WHERE g.worker = w.worker AND floor(g.at_s) = s.second
    ) AS most
    FROM (SELECT DISTINCT floor(at_s) AS second FROM generator) s, (SELECT DISTINCT worker FROM generator) w;
CREATE VIEW containers AS
    SELECT s.second, w.worker, (
        SELECT max(containers_count) FROM generator g WHERE g.worker = w.worker AND floor(g.at_s) = s.second
    ) AS most
    FROM (SELECT DISTINCT floor(at_s) AS second FROM generator) s, (SELECT DISTINCT worker FROM generator) w;
"""

_TIMES = {
    **{name: f"quantile_cont({{0}}, {level})" for name, level in PERCENTILES.items()},
    "mean": "avg({0})",
    "max": "max({0})",
}
_OF_QUEUES = {
    "deliveries_count": "SELECT count(*) FILTER (container >= 0) FROM tried",
    "throttles_count": "SELECT count(*) FILTER (container < 0) FROM tried",
    "retries_count": "SELECT count(*) FILTER (container >= 0 AND failed_before > 0) FROM tried",
    "duplicates_count": """SELECT coalesce(sum(answers - 1) FILTER (answers > 1), 0)::INT FROM (
        SELECT count(*) FILTER (error = '' AND container >= 0) AS answers FROM tried
        GROUP BY worker, client, arrival)""",
    "dead_letters_count": "SELECT count(*) FROM arrived WHERE error NOT IN ('', 'unfinished')",
}
FIGURES = {
    "arrivals_count": "SELECT count(*) FROM arrived",
    "good_ratio": """SELECT (SELECT count(*) FROM answered, run WHERE latency_ms <= slo_ms)
        / nullif(count(*), 0) FROM arrived""",
    "error_ratio": "SELECT count(*) FILTER (error <> '') / nullif(count(*), 0) FROM arrived",
    "throttled_count": "SELECT count(*) FROM arrived WHERE error = 'throttled'",
    "unfinished_count": "SELECT count(*) FROM arrived WHERE error = 'unfinished'",
    "throughput_per_s": """SELECT count(*) FILTER (error = '')
        / any_value(least(deadline_s, ended_s) - from_s) FROM arrived, run""",
    **{
        f"{kind}.{name}": f"SELECT {sql.format(kind)} FROM answered"
        for kind in ("latency_ms", "duration_ms")
        for name, sql in _TIMES.items()
    },
    "cold_starts_count": """SELECT CASE WHEN EXISTS (SELECT 1 FROM generator WHERE queued_count IS NOT NULL)
        THEN (SELECT count(*) FROM tried WHERE cold) ELSE (SELECT count(*) FROM arrived WHERE cold) END""",
    "containers_peak_count": """SELECT max(total) FROM (
        SELECT sum(coalesce(most, before)) AS total FROM (
            SELECT *, lag(most) OVER (PARTITION BY worker ORDER BY second) AS before FROM containers
        ) GROUP BY second)""",
    "starts.count": "SELECT nullif(count(*), 0) FROM starts",
    "starts.init_p50_ms": "SELECT quantile_cont(1000 * init_s, 0.5) FROM starts",
    "starts.init_p99_ms": "SELECT quantile_cont(1000 * init_s, 0.99) FROM starts",
    "starts.first_p50_ms": "SELECT quantile_cont(first_ms, 0.5) FROM firsts",
    "starts.first_p99_ms": "SELECT quantile_cont(first_ms, 0.99) FROM firsts",
    "connections.peak_count": "SELECT max(connections_count) FROM samples",
    "connections.opened_count": """SELECT count(*) FROM connections, run
        WHERE opened_s >= start_s AND opened_s <= ended_s""",
    "connections.refused_count": """SELECT CASE WHEN count(*) > 1 AND bool_and(step >= 0) THEN sum(step) END
        FROM (
            SELECT coalesce(refused_count - lag(refused_count) OVER (ORDER BY at_s), 0) AS step FROM refusals
        )""",
    "connections.expired_count": "SELECT count(*) FROM connections WHERE fate = 'expired'",
    "zombies.left_count": "SELECT count(*) FROM left_behind",
    "zombies.peak_count": """SELECT coalesce(max(alive), 0) FROM (
        SELECT (SELECT count(*) FROM left_behind z WHERE z.reaped_s <= t.reaped_s
                AND (z.gone_s IS NULL OR z.gone_s > t.reaped_s)) AS alive FROM left_behind t)""",
    "zombies.reclaim_p50_s": """SELECT CASE WHEN 2 * count(gone_s) >= count(*)
        THEN median(gone_s - reaped_s) END FROM left_behind""",
    "kills.zombie_count": "SELECT count(*) FROM hits WHERE was_zombie AND NOT was_busy",
    "kills.idle_count": "SELECT count(*) FROM hits WHERE NOT coalesce(was_zombie, false) AND NOT was_busy",
    "kills.busy_count": "SELECT count(*) FROM hits WHERE was_busy",
    "overhead_queries_per_invocation": """SELECT avg(overhead_queries_count) FROM arrived
        WHERE started_s IS NOT NULL AND manage_s IS NOT NULL""",
    **{
        f"queue.{name}": f"""SELECT CASE WHEN EXISTS (
            SELECT 1 FROM generator WHERE queued_count IS NOT NULL) THEN ({sql}) END"""
        for name, sql in _OF_QUEUES.items()
    },
    "queue.waiting_peak_count": """SELECT max(total) FROM (
        SELECT sum(coalesce(most, before)) AS total FROM (
            SELECT *, lag(most) OVER (PARTITION BY worker ORDER BY second) AS before FROM queued
        ) GROUP BY second)""",
    "queue.oldest_peak_s": "SELECT max(queued_oldest_s) FROM generator",
    "cost.billed_ms": "SELECT ms FROM functions_cost",
    "cost.million_usd": "SELECT million_usd FROM functions_cost",
    "cost.functions_month_usd": "SELECT month_usd FROM functions_cost",
    "cost.database_month_usd": "SELECT month_usd FROM database_cost",
    "cost.zombies_month_usd": """SELECT any_value(month_usd) * coalesce(sum(greatest(0,
            least(coalesce(gone_s, until_s), until_s) - greatest(reaped_s, from_s)
        )), 0) / any_value(until_s - from_s) / (SELECT max(max_connections) FROM samples)
        FROM database_cost LEFT JOIN left_behind ON true""",
    "cost.proxy_month_usd": "SELECT proxy_usd FROM database_cost",
    "cost.month_usd": "SELECT l.month_usd + d.month_usd + d.proxy_usd FROM functions_cost l, database_cost d",
    "generator.lateness_p99_ms": "SELECT quantile_cont(lateness_p99_ms, 0.99) FROM seconds",
    "generator.loop_lag_p99_ms": "SELECT quantile_cont(loop_lag_max_ms, 0.99) FROM seconds",
    "generator.cpu_ratio": "SELECT max(own) FROM (SELECT avg(cpu_ratio) AS own FROM seconds GROUP BY worker)",
    "generator.functions_cpu_ratio": """SELECT sum(own) FROM (
        SELECT avg(functions_cpu_ratio) AS own FROM seconds GROUP BY worker)""",
    "generator.disturbed_ratio": "SELECT avg(is_disturbed::INT) FROM disturbed",
    "integrity.acknowledged_count": "SELECT acknowledged_count FROM run",
    "integrity.lost_count": "SELECT lost_count FROM run",
    "integrity.doubled_count": "SELECT doubled_count FROM run",
    "integrity.unknown_count": "SELECT unknown_count FROM run",
    "integrity.unknown_written_count": "SELECT unknown_written_count FROM run",
    "integrity.unexpected_count": "SELECT unexpected_count FROM run",
    "proxy.clients_peak_count": "SELECT max(clients_count) FROM samples",
    "proxy.waiting_peak_count": "SELECT max(waiting_count) FROM samples",
    "proxy.pinned_peak_count": "SELECT max(pinned_count) FROM samples",
    "pause.paused_ratio": """SELECT sum(greatest(0,
        least(coalesce(end_s, deadline_s), deadline_s) - greatest(begin_s, start_s)
        )) / any_value(deadline_s - start_s) FROM pauses, run""",
    "pause.resumes_count": """SELECT CASE WHEN count(*) > 0 THEN
        count(*) FILTER (end_s BETWEEN start_s AND deadline_s) END FROM pauses, run""",
}


def figures(repetition: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Each figure of the repetition in this folder; ``settings`` are those of ``run.json``.

    Prices are those of ``conftest.PRICES``, and the database has one if the settings name a profile.
    """
    with duckdb.connect(":memory:") as db:
        for kind in ("invocations", "attempts", "connections", "kills", "lags", "starts"):
            db.execute(
                f"CREATE VIEW {kind} AS SELECT * FROM read_parquet('{repetition.path}/{kind}/*.parquet')"
            )
        for name in ("samples", "generator"):
            _read_csv(db, name, repetition.path / f"{name}.csv")
        meta = json.loads(repetition.meta.read_text())
        ledger = meta.get("ledger") or {}
        db.execute(
            "CREATE TABLE run AS SELECT ?::DOUBLE AS start_s, ?::DOUBLE AS from_s, ?::DOUBLE AS deadline_s, "
            "?::DOUBLE AS ended_s, ?::DOUBLE AS slo_ms, ?::INT AS acknowledged_count, ?::INT AS lost_count, "
            "?::INT AS doubled_count, ?::INT AS unknown_count, ?::INT AS unknown_written_count, "
            "?::INT AS unexpected_count, ?::INT AS is_priced, ?::INT AS is_through",
            [
                meta["start_s"], meta["start_s"] + settings["warmup_s"], meta["deadline_s"], meta["ended_s"],
                settings["slo_ms"], *map(ledger.get, LEDGER), int("profile" in settings),
                int("proxy" in meta),
            ],
        )  # fmt: skip
        db.execute("CREATE TABLE pauses (begin_s DOUBLE, end_s DOUBLE)")
        for pause in meta.get("pauses") or ():
            db.execute("INSERT INTO pauses VALUES (?, ?)", pause)
        db.execute(VIEWS)
        return {name: _only(db.execute(sql).fetchone()) for name, sql in FIGURES.items()}


def _read_csv(db: Any, name: str, path: Any) -> None:
    """All columns are numbers, empty where unknown, but the text of an error."""
    columns = [column for column in path.read_text().splitlines()[0].split(",") if column != "error"]
    numbers = ", ".join(f"try_cast({column} AS DOUBLE) AS {column}" for column in columns)
    source = f"read_csv('{path}', header = true, all_varchar = true)"
    db.execute(f"CREATE TABLE {name} AS SELECT {numbers} FROM {source}")


def _only(row: Any) -> Any:
    return None if row is None else row[0]
