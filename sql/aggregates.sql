-- Aggregates inside the custom scan: what is taken, what is not, and what EXPLAIN says.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET max_parallel_workers_per_gather = 0;
SET extra_float_digits = 0;

-- Eight hours of ten hosts, every 10 seconds, in windows of four hours: six blocks each.
CREATE TABLE agg_cpu (ts timestamptz NOT NULL, host text, region text, rack int, usage float8, temp real, reads float8)
	USING memseries;
SELECT FROM memseries.configure('agg_cpu', retain => NULL);
INSERT INTO agg_cpu
	SELECT t, 'web' || h, CASE WHEN h < 5 THEN 'eu' ELSE 'us' END, NULLIF(h % 4, 3),
		h * 10 + extract(minute FROM t)::int / 8, CASE WHEN h = 3 THEN NULL ELSE h END,
		extract(epoch FROM t - '2024-03-01')::int % 5000
	FROM generate_series('2024-03-01 00:00'::timestamptz, '2024-03-01 07:59:50', '10 s') t, generate_series(0, 9) h;
ANALYZE agg_cpu;

-- Counts are of chunks and blocks once the keeper has folded and sealed what was written.
CREATE PROCEDURE wait_until_sealed(tab regclass) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 1200 LOOP
		EXIT WHEN (SELECT runs = 0 AND windows = sealed_windows FROM memseries.tables WHERE relation = tab);
		PERFORM pg_sleep(0.05);
	END LOOP;
END $$;
CALL wait_until_sealed('agg_cpu');

-- EXPLAIN without what differs between server versions, and whether the answer is PostgreSQL's own.
CREATE FUNCTION explain_analyze(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		line := regexp_replace(line, 'rows=(\d+)\.00', 'rows=\1');
		RETURN NEXT line;
	END LOOP;
END $$;
CREATE FUNCTION same_as_above(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	inside text;
	above text;
BEGIN
	EXECUTE format('SELECT string_agg(q::text, E''\n'' ORDER BY q::text) FROM (%s) q', query) INTO inside;
	SET LOCAL memseries.enable_aggregates = off;
	EXECUTE format('SELECT string_agg(q::text, E''\n'' ORDER BY q::text) FROM (%s) q', query) INTO above;
	SET LOCAL memseries.enable_aggregates = on;
	RETURN inside = above;
END $$;

--
-- What is wholly in one group is answered from what blocks say of themselves.
--
SELECT explain_analyze($$SELECT count(*), count(temp), sum(usage), avg(usage), min(usage), max(temp) FROM agg_cpu$$);
SELECT count(*), count(temp), sum(usage), avg(usage), min(usage), max(temp) FROM agg_cpu;
SELECT explain_analyze($$SELECT count(*), min(ts), max(ts) FROM agg_cpu WHERE host IN ('web1', 'web2')$$);
SELECT explain_analyze($$SELECT date_bin('1 hour', ts, 'epoch') b, sum(usage) FROM agg_cpu
	WHERE host = 'web1' AND ts >= '2024-03-01 01:30' GROUP BY b$$);

-- Or what they say is that they widen no group's range: all hosts have the same reads.
SELECT explain_analyze($$SELECT date_bin('1 hour', ts, 'epoch') b, min(reads), max(reads) FROM agg_cpu GROUP BY b$$);
SELECT explain_analyze($$SELECT date_bin('1 hour', ts, 'epoch') b, max(reads), count(reads) FROM agg_cpu GROUP BY b$$);
SELECT same_as_above($$SELECT date_bin('1 hour', ts, 'epoch') b, min(reads), max(reads), max(temp), min(usage) FROM agg_cpu
	WHERE ts >= '2024-03-01 01:30' AND ts < '2024-03-01 06:40' GROUP BY b$$);
SELECT same_as_above($$SELECT date_bin('50 min', ts, 'epoch') b, region, max(usage), min(temp), max(reads) FILTER (WHERE usage > 3)
	FROM agg_cpu WHERE usage <> 5 GROUP BY b, region$$);
SET memseries.enable_summaries = off;
SELECT explain_analyze($$SELECT count(*), count(temp), sum(usage), avg(usage), min(usage), max(temp) FROM agg_cpu$$);
RESET memseries.enable_summaries;
-- variances need the values
SELECT explain_analyze($$SELECT stddev(usage), var_pop(temp) FROM agg_cpu WHERE host = 'web1'$$);

--
-- A chunk that is wholly in one group is answered from its totals, if it is large enough to have some.
--
CREATE TABLE agg_big (ts timestamptz NOT NULL, host text, a float8, b float8, c real, d float8) USING memseries;
SELECT FROM memseries.configure('agg_big', retain => NULL);
INSERT INTO agg_big SELECT '2024-03-01'::timestamptz + i * interval '10 s', 'web' || h, (i * 7919 + h * 13) % 1000, (i * 31 % 977) / 100.0,
	CASE WHEN i % 3 > 0 THEN -i % 50 END, CASE WHEN i = 2000 AND h = 1 THEN 'NaN' ELSE sqrt(i + h) END
	FROM generate_series(0, 2879) i, generate_series(0, 2) h;
ANALYZE agg_big;
CALL wait_until_sealed('agg_big');
SELECT explain_analyze($$SELECT host, count(*), count(c), sum(a), avg(a), min(b), max(b), min(c), max(d), min(ts), max(ts) FROM agg_big GROUP BY host$$);
SELECT host, count(*), count(c), sum(a), avg(a), min(b), max(b), min(c), max(d), min(ts), max(ts) FROM agg_big GROUP BY host ORDER BY host;
SELECT same_as_above($$SELECT host, count(*), count(c), sum(a), avg(a), min(b), max(b), min(c), max(d), min(ts), max(ts) FROM agg_big GROUP BY host$$);
SELECT same_as_above($$SELECT round(sum(b)::numeric, 6), round(avg(b)::numeric, 6), sum(c), sum(d), max(d) FILTER (WHERE host <> 'web1') FROM agg_big$$);
SELECT explain_analyze($$SELECT date_bin('4 hours', ts, '2024-03-01') w, count(*), sum(a) FROM agg_big GROUP BY w$$);
SELECT same_as_above($$SELECT date_bin('4 hours', ts, '2024-03-01') w, count(*), sum(a) FROM agg_big GROUP BY w$$);
SELECT explain_analyze($$SELECT max(ts), min(ts) FROM agg_big$$);
SELECT explain_analyze($$SELECT count(*), sum(a) FROM agg_big WHERE ts >= '2024-03-01 01:00'$$);
SELECT same_as_above($$SELECT host, count(*), sum(a), min(d) FROM agg_big WHERE ts >= '2024-03-01 01:00' GROUP BY host$$);
SET memseries.enable_summaries = off;
SELECT same_as_above($$SELECT host, count(*), count(c), sum(a), avg(a), min(b), max(b), min(c), max(d), min(ts), max(ts) FROM agg_big GROUP BY host$$);
RESET memseries.enable_summaries;
-- late rows, and columns that chunks do not have
BEGIN;
INSERT INTO agg_big VALUES ('2024-03-01 02:00', 'web1', 5000, -1, -100, 0);
SELECT host, count(*), sum(a), min(b), min(c) FROM agg_big GROUP BY host ORDER BY host;
SELECT same_as_above($$SELECT host, count(*), count(c), sum(a), avg(a), min(b), max(b), min(c), max(d), min(ts), max(ts) FROM agg_big GROUP BY host$$);
ROLLBACK;
ALTER TABLE agg_big ADD COLUMN e float8 DEFAULT 7;
SELECT count(*), sum(a), sum(e), min(e) FROM agg_big;
DROP TABLE agg_big;

--
-- Groups: labels, expressions of labels, buckets of time, both, nothing.
--
EXPLAIN (COSTS OFF) SELECT region, rack, avg(usage) FROM agg_cpu GROUP BY region, rack;
SELECT region, rack, count(*), avg(usage), max(temp) FROM agg_cpu GROUP BY region, rack ORDER BY 1, 2;
EXPLAIN (COSTS OFF) SELECT upper(region), count(*) FROM agg_cpu GROUP BY upper(region) HAVING sum(usage) > 1000 ORDER BY 1;
SELECT upper(region), count(*) FROM agg_cpu GROUP BY upper(region) HAVING sum(usage) > 1000 ORDER BY 1;
SELECT date_trunc('hour', ts) + interval '1 hour' AS "end", region, max(usage) - min(usage) AS spread FROM agg_cpu
	WHERE ts < '2024-03-01 02:00' GROUP BY date_trunc('hour', ts), region ORDER BY 1, 2;
SELECT date_bin('3 hours', ts, '2024-03-01 01:00') b, count(*) FROM agg_cpu GROUP BY b ORDER BY b;
SELECT date_trunc('day', ts, 'Asia/Tokyo') d, count(*) FROM agg_cpu GROUP BY d ORDER BY d;
SELECT extract(hour FROM date_trunc('hour', ts)) h, count(*) FROM agg_cpu WHERE host = 'web3' GROUP BY h HAVING max(usage) IS NOT NULL ORDER BY h LIMIT 3;
SELECT ts, sum(usage) FROM agg_cpu WHERE ts < '2024-03-01 00:00:20' GROUP BY ts ORDER BY ts;
SELECT host FROM agg_cpu WHERE region = 'eu' GROUP BY host ORDER BY host;
SELECT explain_analyze($$SELECT host FROM agg_cpu WHERE region = 'eu' GROUP BY host$$);
EXPLAIN (COSTS OFF) SELECT DISTINCT region FROM agg_cpu WHERE rack = 1;
SELECT DISTINCT region FROM agg_cpu WHERE rack = 1 ORDER BY region;
SELECT DISTINCT region, rack + 1 AS r, date_trunc('day', ts) FROM agg_cpu ORDER BY r, region LIMIT 3;
EXPLAIN (COSTS OFF) SELECT DISTINCT usage FROM agg_cpu;
-- nothing to aggregate
SELECT count(*), sum(usage), avg(temp), stddev(usage), min(ts), bool_and(usage > 1), memseries.last(usage, ts), memseries.rate(reads, ts)
	FROM agg_cpu WHERE host = 'none';
SELECT host, count(*) FROM agg_cpu WHERE ts > '2025-01-01' GROUP BY host;

--
-- Conditions on values; blocks all or none of whose rows fulfil them are not decoded.
--
SELECT explain_analyze($$SELECT count(*), max(usage) FROM agg_cpu WHERE usage > 85$$);
SELECT explain_analyze($$SELECT count(*) FROM agg_cpu WHERE usage <> 1000 AND temp IS NOT NULL$$);
SELECT explain_analyze($$SELECT count(*) FROM agg_cpu WHERE usage::int % 2 = 1 AND host = 'web4'$$);
SELECT same_as_above($$SELECT region, count(*), sum(usage) FROM agg_cpu WHERE usage::int % 2 = 1 AND temp < usage GROUP BY region$$);
EXPLAIN (COSTS OFF) SELECT region, count(*) FILTER (WHERE usage > 50), sum(temp) FILTER (WHERE host <> 'web3' AND ts >= '2024-03-01 04:00')
	FROM agg_cpu GROUP BY region;
SELECT same_as_above($$SELECT region, count(*) FILTER (WHERE usage > 50), sum(temp) FILTER (WHERE host <> 'web3' AND ts >= '2024-03-01 04:00'),
	bool_and(usage >= 0), bool_or(temp > 8), every(rack IS NULL) FROM agg_cpu GROUP BY region$$);

-- Conditions on the time alone are asked once of each time, not of every host's row; hardly more often, that is.
CREATE SEQUENCE agg_asked;
CREATE FUNCTION asked(ts timestamptz) RETURNS boolean STABLE LANGUAGE plpgsql AS 'BEGIN RETURN nextval(''agg_asked'') > 0 AND extract(minute FROM ts) < 20; END';
SELECT count(*), max(usage) FROM agg_cpu WHERE asked(ts) AND asked(ts + '1 s');
SELECT last_value < 10000 AS few FROM agg_asked;
SELECT same_as_above($$SELECT host, count(*), max(usage) FROM agg_cpu WHERE extract(hour FROM ts) BETWEEN 2 AND 3 AND (ts + '7 s')::time < '03:30' AND usage > 5 GROUP BY host$$);
SELECT same_as_above($$SELECT host, count(*) FILTER (WHERE extract(hour FROM ts) = 2), sum(temp) FILTER (WHERE ts::text LIKE '%:5_+00' OR usage > 70) FROM agg_cpu GROUP BY host$$);
SELECT i, (SELECT count(*) FROM agg_cpu WHERE extract(hour FROM ts) = i AND extract(epoch FROM ts)::bigint % 60 = 0) FROM generate_series(6, 8) i;
DROP FUNCTION asked;
DROP SEQUENCE agg_asked;

--
-- Counters, and the first and last value.
--
SELECT host, memseries.increase(reads, ts), round(memseries.rate(reads, ts)::numeric, 6) AS rate, memseries.delta(reads, ts)
	FROM agg_cpu WHERE host < 'web2' GROUP BY host ORDER BY host;
SELECT same_as_above($$SELECT date_trunc('hour', ts), memseries.increase(reads, ts), memseries.rate(reads, ts), memseries.delta(temp, ts)
	FROM agg_cpu GROUP BY 1$$);
EXPLAIN (COSTS OFF) SELECT host, memseries.rate(reads, ts) FROM agg_cpu GROUP BY host;
SELECT memseries.increase(v, t), memseries.rate(v, t), memseries.delta(v, t) FROM (VALUES
	(3, '2024-01-01 00:03'::timestamptz), (10, '2024-01-01 00:01'), (5, '2024-01-01 00:04'), (NULL, '2024-01-01 00:05'), (4, '2024-01-01 00:00'), (7, NULL)) x(v, t);
SELECT memseries.increase(v, t), memseries.rate(v, t), memseries.delta(v, t) FROM (VALUES (3, '2024-01-01'::timestamptz)) x(v, t);
SELECT explain_analyze($$SELECT host, memseries.last(usage, ts), max(ts) FROM agg_cpu GROUP BY host$$);
SELECT host, memseries.last(usage, ts), memseries.first(temp, ts), max(ts) FROM agg_cpu WHERE rack = 1 GROUP BY host ORDER BY host;
SELECT explain_analyze($$SELECT min(ts) FROM agg_cpu WHERE region = 'us' AND host > 'web7'$$);

--
-- Buckets of local time: around changes of the offset they are missing, longer or shorter, and some begin on none.
-- Groups come in the order of the only bucket.
--
CREATE TABLE agg_zones (ts timestamptz NOT NULL, host text, v float8) USING memseries;
SELECT memseries.configure('agg_zones', retain => NULL);
INSERT INTO agg_zones SELECT t, 'h' || extract(day FROM t)::int % 2, extract(epoch FROM t)::bigint / 700 % 9700
	FROM (VALUES ('2010-11-04'), ('2011-12-27'), ('2018-03-09'), ('2018-03-23'), ('2018-03-31'), ('2018-10-05'), ('2018-10-26'), ('2018-11-02')) x(day),
		generate_series(day::timestamptz, day::timestamptz + interval '5 days', interval '700 s') t;
CREATE FUNCTION same_in_zone(zone text, field text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('timezone', zone, true);
	RETURN same_as_above(format('SELECT date_trunc(%L, ts), count(*), max(v) FROM agg_zones GROUP BY 1 ORDER BY 1', field));
END $$;
SELECT count(*), count(*) FILTER (WHERE same_in_zone(zone, field)) AS same
	FROM unnest(ARRAY['UTC', 'America/New_York', 'America/Sao_Paulo', 'Australia/Lord_Howe', 'Asia/Beirut', 'Pacific/Apia',
		'Europe/Dublin', 'Africa/Casablanca', 'Asia/Kolkata', 'EST5EDT', 'America/St_Johns']) zone,
	unnest(ARRAY['second', 'minute', 'hour', 'day', 'week', 'month']) field;
SET timezone = 'America/New_York';
EXPLAIN (COSTS OFF) SELECT date_trunc('day', ts) d, count(*), max(v) FROM agg_zones WHERE ts > '2018-11-01' GROUP BY d ORDER BY d DESC;
SELECT date_trunc('day', ts) d, count(*), max(v) FROM agg_zones WHERE ts > '2018-11-01' GROUP BY d ORDER BY d DESC;
SELECT DISTINCT date_trunc('day', ts) d FROM agg_zones WHERE ts > '2018-11-01' ORDER BY d;
EXPLAIN (COSTS OFF) SELECT date_trunc('day', ts) d, host, count(*) FROM agg_zones GROUP BY d, host ORDER BY d;
DROP TABLE agg_zones;
SET timezone = 'UTC';

--
-- The newest buckets: what is older is not read.
--
SELECT explain_analyze($$SELECT date_trunc('minute', ts) m, max(usage) FROM agg_cpu GROUP BY m ORDER BY m DESC LIMIT 3$$);
SELECT date_trunc('minute', ts) m, max(usage) FROM agg_cpu GROUP BY m ORDER BY m DESC LIMIT 3;
SELECT date_trunc('minute', ts) m, max(usage) FROM agg_cpu WHERE ts < '2024-03-01 05:02' GROUP BY m HAVING min(usage) < 0.5 ORDER BY m DESC LIMIT 2;
SELECT date_bin('2 hours', ts, 'epoch') b, count(*) FROM agg_cpu GROUP BY b ORDER BY b LIMIT 2;

--
-- Parameters, sub-selects, views.
--
PREPARE one (text, timestamptz, float8) AS SELECT host, count(*), min(usage) FROM agg_cpu WHERE host = $1 AND ts >= $2 AND usage > $3 GROUP BY host;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE one('web3', '2024-03-01 04:00', 35);
EXECUTE one('web3', '2024-03-01 04:00', 35);
EXECUTE one('web4', '2024-03-01 07:00', NULL);
EXECUTE one('web4', '2024-03-01 07:00', 46);
RESET plan_cache_mode;
SELECT h, n FROM (VALUES ('web1'), ('none'), ('web9')) x(h), LATERAL (SELECT count(*) n FROM agg_cpu WHERE host = h) c;
SELECT count(*) FROM agg_cpu WHERE usage > (SELECT max(usage) - 1 FROM agg_cpu);

--
-- In parallel: partial states below PostgreSQL's own node.
--
SET max_parallel_workers_per_gather = 2;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
EXPLAIN (COSTS OFF) SELECT region, count(*), avg(usage), stddev(usage), memseries.last(usage, ts) FROM agg_cpu WHERE usage < 90 GROUP BY region;
SELECT region, count(*), avg(usage), round(stddev(usage)::numeric, 9), memseries.first(reads, ts) FROM agg_cpu WHERE usage < 90 GROUP BY region ORDER BY 1;
RESET max_parallel_workers_per_gather;
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
SET max_parallel_workers_per_gather = 0;

--
-- What is left to PostgreSQL, above the scan.
--
-- DISTINCT and ORDER BY inside an aggregate
EXPLAIN (COSTS OFF) SELECT count(DISTINCT host) FROM agg_cpu;
-- expressions of values: errors are PostgreSQL's, and what it would not evaluate is not evaluated
EXPLAIN (COSTS OFF) SELECT sum(usage + temp) FROM agg_cpu;
SELECT sum(1 / (usage - usage)) FROM agg_cpu;
SELECT max(usage * 1e200 * (usage + 1) * 1e200) FROM agg_cpu;
SELECT count(1 / (usage - usage)) FROM agg_cpu WHERE usage < -1;
SELECT count(CASE WHEN usage < -1 THEN 1 / (usage - usage) END), count(coalesce(usage, 1 / (temp - temp))) = count(usage) FROM agg_cpu WHERE usage IS NOT NULL;
SELECT count(*) FROM agg_cpu WHERE usage < -1 AND 1 / (usage - usage) > 0;
-- those not known
EXPLAIN (COSTS OFF) SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY usage) FROM agg_cpu;
EXPLAIN (COSTS OFF) SELECT max(host || region) FROM agg_cpu;
-- groups by something else than labels and buckets
EXPLAIN (COSTS OFF) SELECT usage, count(*) FROM agg_cpu GROUP BY usage;
EXPLAIN (COSTS OFF) SELECT extract(second FROM ts), count(*) FROM agg_cpu GROUP BY 1;
EXPLAIN (COSTS OFF) SELECT host || date_trunc('hour', ts), count(*) FROM agg_cpu GROUP BY 1;
-- grouping sets
EXPLAIN (COSTS OFF) SELECT host, region, count(*) FROM agg_cpu GROUP BY ROLLUP (region, host);
-- volatile conditions
EXPLAIN (COSTS OFF) SELECT count(*) FROM agg_cpu WHERE usage > random();
-- joins
EXPLAIN (COSTS OFF) SELECT count(*) FROM agg_cpu a LEFT JOIN (VALUES ('web1'), ('web2')) x(h) ON x.h = a.host;
-- when told so
SET memseries.enable_aggregates = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM agg_cpu;
RESET memseries.enable_aggregates;

--
-- Rows just written, and those of the transaction itself.
--
CREATE TABLE agg_few (ts timestamptz NOT NULL, host text, rack int, usage float8) USING memseries;
SELECT FROM memseries.configure('agg_few', retain => NULL);
INSERT INTO agg_few VALUES ('2024-03-01 12:00', 'a', 0, 1), ('2024-03-01 12:01', 'a', 0, 2), ('2024-03-01 12:00', 'b', 2, 4);
BEGIN;
INSERT INTO agg_few VALUES ('2024-03-01 12:01', 'a', 0, 20), ('2024-03-01 12:02', 'c', 1, NULL);
SELECT host, count(*), count(usage), sum(usage) FROM agg_few GROUP BY host ORDER BY host;
-- a key that would fail for rows that are not there does not
SELECT 10 / rack, count(*) FROM agg_few WHERE usage > 2 AND host <> 'a' GROUP BY 1;
SELECT memseries.delete_samples('agg_few', NULL, NULL, 'rack = 0');
SELECT 10 / rack AS r, count(*) FROM agg_few GROUP BY r ORDER BY r;
ROLLBACK;
SELECT 10 / NULLIF(rack, 0) AS r, count(*), sum(usage) FROM agg_few GROUP BY r ORDER BY r;
SELECT 10 / rack, count(*) FROM agg_few GROUP BY 1;

-- infinities, NaN, NULL; overflow is an error as it is for PostgreSQL
CREATE TABLE agg_odd (ts timestamptz NOT NULL, k text, v float8, w real) USING memseries;
SELECT FROM memseries.configure('agg_odd', retain => NULL);
INSERT INTO agg_odd SELECT '2024-03-01'::timestamptz + i * interval '1 min', k, v[1 + i % 3], v[1 + i % 3]::real FROM generate_series(0, 299) i,
	(VALUES ('nan', '{1,NaN,3}'::float8[]), ('inf', '{1,Infinity,2}'), ('both', '{-Infinity,Infinity,2}'), ('null', '{NULL,NULL,NULL}'), ('zero', '{-0,0,NULL}')) x(k, v);
SELECT k, count(v), sum(v), avg(w), min(v), max(w), stddev(v), var_pop(w), bool_or(v > 2), min(v) FILTER (WHERE v = 'NaN') FROM agg_odd WHERE k <> 'zero' GROUP BY k ORDER BY k;
SELECT k, count(v), sum(v) + 0, min(v) + 0 FROM agg_odd WHERE k = 'zero' GROUP BY k;
SELECT same_as_above(format($$SELECT date_bin('50 min', ts, 'epoch') b, min(v), max(v), min(w), max(w) FROM agg_odd
	WHERE k IN (%L, %L) GROUP BY b$$, one, other)) FROM unnest('{nan,inf,both,"null"}'::text[]) one, unnest('{nan,inf,both,"null"}'::text[]) other;
INSERT INTO agg_odd VALUES ('2024-03-01', 'big', 1.7e308, 3e38), ('2024-03-02', 'big', 1.7e308, 3e38);
SELECT sum(v) FROM agg_odd WHERE k = 'big';
SELECT sum(w) FROM agg_odd WHERE k = 'big';

-- columns added later
ALTER TABLE agg_odd ADD COLUMN x float8 DEFAULT 2.5, ADD COLUMN y float8;
SELECT count(x), sum(x), min(x), count(y), max(y) FROM agg_odd WHERE k = 'nan';

--
-- Row-level security: a condition that might tell what it sees waits for the policy.
--
CREATE ROLE agg_reader;
GRANT SELECT ON agg_cpu TO agg_reader;
ALTER TABLE agg_cpu ENABLE ROW LEVEL SECURITY;
CREATE POLICY eu_only ON agg_cpu USING (region = 'eu' AND usage < 12);
CREATE FUNCTION telltale(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
	IF $1 >= 'web2' THEN
		RAISE NOTICE 'saw %', $1;
	END IF;
	RETURN true;
END $$;
SET ROLE agg_reader;
SELECT host, count(*) FROM agg_cpu WHERE telltale(host) AND ts < '2024-03-01 00:10' GROUP BY host ORDER BY host;
EXPLAIN (COSTS OFF) SELECT host, count(*) FROM agg_cpu WHERE usage > 3 GROUP BY host;
RESET ROLE;

ALTER TABLE agg_cpu DISABLE ROW LEVEL SECURITY;
-- Few groups in a slice make the next one longer, however short the buckets are.
SELECT explain_analyze('SELECT ts, sum(usage) FROM agg_cpu GROUP BY ts ORDER BY ts LIMIT 10');
SELECT explain_analyze('SELECT ts, sum(usage) FROM agg_cpu GROUP BY ts ORDER BY ts DESC LIMIT 10');
SELECT same_as_above('SELECT ts, sum(usage) FROM agg_cpu GROUP BY ts ORDER BY ts DESC LIMIT 10');
-- Many make it shorter.
SET work_mem = '64kB';
SELECT same_as_above($$SELECT host, date_trunc('minute', ts) AS m, sum(usage) FROM agg_cpu GROUP BY 1, 2 HAVING sum(usage) < 50 ORDER BY m DESC, host LIMIT 20$$);
SELECT same_as_above($$SELECT host, date_trunc('minute', ts) AS m, sum(usage) FROM agg_cpu GROUP BY 1, 2 HAVING sum(usage) > 570 ORDER BY m, host LIMIT 20$$);
RESET work_mem;
-- A key that can have one value only, and no row.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT region, count(*), stddev(usage) FROM agg_cpu WHERE region = 'eu' AND sqrt(usage) + sin(usage) + cos(usage) < -10 GROUP BY region;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

DROP TABLE agg_cpu, agg_few, agg_odd;
DROP ROLE agg_reader;
DROP FUNCTION telltale, same_as_above, explain_analyze;
DROP PROCEDURE wait_until_sealed;
