-- The custom scan: which conditions it takes, and what EXPLAIN says.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET max_parallel_workers_per_gather = 0;

-- Eight hours of ten hosts, every 10 seconds, in windows of one hour: 360 samples each, in two blocks.
CREATE TABLE cpu (ts timestamptz NOT NULL, host text, region text, rack int, usage float8, temp real)
	USING memseries;
SELECT FROM memseries.configure('cpu', chunk_interval => '1 hour', retain => NULL);
INSERT INTO cpu
	SELECT t, 'web' || h, CASE WHEN h < 5 THEN 'eu' ELSE 'us' END, NULLIF(h % 4, 3), h * 10 + extract(minute FROM t) / 10, h
	FROM generate_series('2024-03-01 00:00'::timestamptz, '2024-03-01 07:59:50', '10 s') t, generate_series(0, 9) h;
ANALYZE cpu;

-- Counts are of chunks and blocks once the keeper has folded and sealed what was written.
CREATE PROCEDURE wait_until_sealed(tab regclass) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 1200 LOOP
		EXIT WHEN (SELECT runs = 0 AND windows = sealed_windows FROM memseries.tables WHERE relation = tab);
		PERFORM pg_sleep(0.05);
	END LOOP;
END $$;
CALL wait_until_sealed('cpu');

-- EXPLAIN without what differs between server versions.
CREATE FUNCTION explain(query text, options text DEFAULT 'COSTS OFF') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
		line := regexp_replace(line, 'rows=(\d+)\.00', 'rows=\1');
		line := regexp_replace(line, 'InitPlan 1 \(returns \$0\)', 'InitPlan 1');
		line := regexp_replace(line, '\$0|\(InitPlan 1\)\.col1', '(InitPlan 1)');
		RETURN NEXT line;
	END LOOP;
END $$;
CREATE FUNCTION explain_analyze(query text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT explain(query, 'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF');
$$;

--
-- Conditions on labels are asked once per series.
--
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host = 'web1';
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host IN ('web1', 'web2') AND rack IS NOT NULL;
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host LIKE 'web%' OR lower(region) = 'eu';
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE rack + length(host) > 4;
EXPLAIN (VERBOSE, COSTS OFF) SELECT usage FROM cpu WHERE host = 'web1';
SELECT explain_analyze($$SELECT * FROM cpu WHERE host = 'web1'$$);
SELECT explain_analyze($$SELECT * FROM cpu WHERE rack IS NULL$$);

--
-- Bounds of the time become the range that is read.
--
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE ts >= '2024-03-01 02:00' AND ts < '2024-03-01 03:00';
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE '2024-03-01 02:00' < ts;
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE ts > now() - interval '1 hour';
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE ts BETWEEN '2024-03-01'::date AND '2024-03-01 02:00'::timestamp;
SELECT explain($$SELECT * FROM cpu WHERE ts >= (SELECT to_timestamp(avg(extract(epoch FROM ts))) FROM cpu WHERE host = 'web1')$$);
SELECT explain_analyze($$SELECT * FROM cpu WHERE ts >= '2024-03-01 02:00' AND ts < '2024-03-01 03:00'$$);
-- blocks are left out, too
SELECT explain_analyze($$SELECT * FROM cpu WHERE host = 'web1' AND ts = '2024-03-01 02:00'$$);
-- a range without end, an empty one, and none at all
SELECT explain_analyze($$SELECT * FROM cpu WHERE host = 'web1' AND ts < 'infinity'$$);
SELECT explain_analyze($$SELECT * FROM cpu WHERE ts > '2024-03-01 03:00' AND ts < '2024-03-01 02:00'$$);
SELECT count(*) FROM cpu WHERE ts > (SELECT NULL::timestamptz);
SELECT count(*) FILTER (WHERE ts > '2024-03-01 02:00'), count(*) FILTER (WHERE ts = '2024-03-01 02:00'), min(ts), max(ts)
	FROM cpu WHERE host = 'web1' AND ts >= '2024-03-01 02:00' AND ts <= '2024-03-01 03:00';

--
-- Everything else stays with PostgreSQL, row by row.
--
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host = 'web9' AND ts >= '2024-03-01 07:00' AND usage > 95.5;
SELECT explain_analyze($$SELECT * FROM cpu WHERE host = 'web9' AND ts >= '2024-03-01 07:00' AND usage > 95.5$$);
-- one that mixes columns of several kinds
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host = 'web1' OR usage > 5;
-- a volatile one
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host = 'web1' AND length(region) > random() - 1;
-- one deeper down
SELECT line FROM explain($$SELECT * FROM cpu WHERE (SELECT (SELECT random() + length(host) * 0)) < 0.5$$) line WHERE line ~ 'Series';
-- a time that is no bound
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE ts <> '2024-03-01' AND ts IN ('2024-03-01', '2024-03-02') AND ts > ts - '1 s'::interval;
-- one without a column
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host = 'web1' AND current_setting('work_mem') = '';

--
-- Parameters, sub-selects, joins.
--
PREPARE one (text, timestamptz) AS SELECT count(*), min(usage), max(temp) FROM cpu WHERE host = $1 AND ts >= $2;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE one('web3', '2024-03-01 04:00');
EXECUTE one('web3', '2024-03-01 04:00');
EXECUTE one('web4', '2024-03-01 07:59:50');
EXECUTE one(NULL, '2024-03-01 04:00');
RESET plan_cache_mode;
DEALLOCATE one;

-- a condition with a sub-select on a label
EXPLAIN (COSTS OFF)
	SELECT count(*) FROM cpu c WHERE (SELECT count(*) FROM generate_series(1, c.rack)) = 2;
SELECT count(*) FROM cpu c WHERE (SELECT count(*) FROM generate_series(1, c.rack)) = 2;

-- the outer side of a nested loop fixes the series, or the time
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
EXPLAIN (COSTS OFF)
	SELECT x.h, count(*) FROM (VALUES ('web1'), ('web2'), ('none')) x(h) LEFT JOIN cpu ON host = x.h GROUP BY 1;
SELECT x.h, count(ts) FROM (VALUES ('web1'), ('web2'), ('none')) x(h) LEFT JOIN cpu ON host = x.h GROUP BY 1 ORDER BY 1;
EXPLAIN (COSTS OFF)
	SELECT t, n FROM generate_series('2024-03-01 00:00'::timestamptz, '2024-03-01 09:00', '3 hours') t,
		LATERAL (SELECT count(*) n FROM cpu WHERE ts > t AND ts <= t + interval '10 minutes') c;
SELECT t, n FROM generate_series('2024-03-01 00:00'::timestamptz, '2024-03-01 09:00', '3 hours') t,
	LATERAL (SELECT count(*) n FROM cpu WHERE ts > t AND ts <= t + interval '10 minutes') c;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;

--
-- Only what is needed is read.
--
SELECT count(*) FROM cpu;
SELECT explain_analyze($$SELECT * FROM cpu LIMIT 3$$);
SELECT ts, host, usage, temp FROM cpu WHERE host = 'web7' LIMIT 3;
SELECT c FROM cpu c WHERE host = 'web7' LIMIT 1;
SELECT temp, rack, ts FROM cpu WHERE host = 'web7' AND usage >= 75.9 AND ts >= '2024-03-01 07:59:30';
SELECT rack, count(*), count(temp), min(usage), max(temp) FROM cpu GROUP BY rack ORDER BY rack;

-- columns added later, with and without a default
ALTER TABLE cpu ADD COLUMN load float8 DEFAULT 0.25, ADD COLUMN idle real, ADD COLUMN os text DEFAULT 'linux';
SELECT ts, host, load, idle, os FROM cpu WHERE os = 'linux' AND load = 0.25 AND idle IS NULL AND host = 'web7' LIMIT 1;
SELECT explain_analyze($$SELECT * FROM cpu WHERE os <> 'linux'$$);
ALTER TABLE cpu DROP COLUMN idle, DROP COLUMN load, DROP COLUMN os;

--
-- In other formats.
--
CREATE FUNCTION explain_json(query text) RETURNS TABLE (key text, value jsonb) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF, FORMAT JSON) ' || query INTO plan;
	RETURN QUERY SELECT j.key, j.value
		FROM jsonb_each(jsonb_path_query_first(plan::jsonb, 'strict $.**?(exists(@."Custom Plan Provider"))')) j
		WHERE j.key ~ 'Custom|Series|Chunks|Blocks|Pieces|Samples|Filter|Time Range' ORDER BY 1;
END $$;
SELECT * FROM explain_json($$SELECT * FROM cpu WHERE host ~ '[12]$' AND ts < '2024-03-01 01:00' AND usage < 15$$);

--
-- Cursors: backwards needs a Material node, forwards does not.
--
EXPLAIN (COSTS OFF) DECLARE c SCROLL CURSOR FOR SELECT ts FROM cpu WHERE host = 'web1';
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT ts FROM cpu WHERE host = 'web1';
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
FETCH LAST FROM c;
CLOSE c;
DECLARE c NO SCROLL CURSOR FOR SELECT ts FROM cpu WHERE host = 'web1';
FETCH 1 FROM c;
FETCH 1 FROM c;
MOVE 2877 FROM c;
FETCH 2 FROM c;
COMMIT;

--
-- A transaction reads what it wrote, a cursor what was there when it was opened.
--
CREATE TABLE few (ts timestamptz NOT NULL, host text, rack int, usage float8) USING memseries;
SELECT FROM memseries.configure('few', retain => NULL);
INSERT INTO few VALUES ('2024-03-01 12:00', 'old', 1, 0);
BEGIN;
INSERT INTO few VALUES ('2024-03-01 12:00', 'new', 1, 1);
SELECT ts, host, usage FROM few WHERE host = 'new';
DECLARE c CURSOR FOR SELECT ts, usage FROM few WHERE host = 'new';
INSERT INTO few VALUES ('2024-03-01 12:01', 'new', 1, 2), ('2024-03-01 12:00', 'new', 1, 3);
FETCH ALL FROM c;
SELECT ts, usage FROM few WHERE host = 'new';
ROLLBACK;
SELECT count(*) FROM few WHERE host = 'new';

-- A condition that fails for labels of which no row can be seen does not fail.
BEGIN;
INSERT INTO few VALUES ('2024-03-01 12:00', 'zero', 0, 1);
SELECT count(*) FROM few WHERE 10 / rack > 0 AND host = 'old';
SAVEPOINT s;
SELECT count(*) FROM few WHERE 10 / rack > 0;
ROLLBACK TO s;
-- nor for labels of which all rows in the range of time were deleted
SELECT memseries.delete_samples('few', '2024-03-01', '2024-03-02', 'rack = 0');
SELECT count(*) FROM few WHERE 10 / rack > 0;
ROLLBACK;
SELECT count(*) FROM few WHERE 10 / rack > 0;

--
-- Row-level security: a condition that might tell what it sees waits for the policy.
--
CREATE ROLE customscan_reader;
GRANT SELECT ON cpu TO customscan_reader;
ALTER TABLE cpu ENABLE ROW LEVEL SECURITY;
CREATE POLICY eu_only ON cpu USING (region = 'eu' AND usage < 45);
CREATE FUNCTION telltale(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
	RAISE NOTICE 'saw %', $1;
	RETURN true;
END $$;
SET ROLE customscan_reader;
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host = 'web1' AND ts > '2024-03-01 07:59' AND telltale(region);
SELECT count(*) FROM cpu WHERE host IN ('web4', 'web9') AND ts >= '2024-03-01 07:59:50' AND telltale(host);
SELECT count(*) FROM cpu WHERE host IN ('web3', 'web9') AND ts >= '2024-03-01 07:59:50' AND telltale(host);
SELECT host, max(usage) FROM cpu GROUP BY host ORDER BY host;
RESET ROLE;
ALTER TABLE cpu DISABLE ROW LEVEL SECURITY;
DROP POLICY eu_only ON cpu;

CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM cpu WHERE usage < 10;
EXPLAIN (COSTS OFF) SELECT * FROM barrier WHERE host = 'web1' AND telltale(region) AND ts < '2024-03-01 01:00';
DROP VIEW barrier;

--
-- Partitions and inheritance.
--
CREATE TABLE parted (ts timestamptz NOT NULL, host text, v float8) PARTITION BY RANGE (ts);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-03-01') TO ('2024-03-02') USING memseries;
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2024-03-02') TO ('2024-03-03') USING memseries;
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM ('2024-03-03') TO ('2024-03-04') USING heap;
SELECT FROM memseries.configure('parted_1', retain => NULL);
SELECT FROM memseries.configure('parted_2', retain => NULL);
INSERT INTO parted SELECT t, 'h' || i % 3, i FROM generate_series('2024-03-01'::timestamptz, '2024-03-03 23:00', '1 hour') WITH ORDINALITY x(t, i);
EXPLAIN (COSTS OFF) SELECT * FROM parted WHERE host = 'h1' AND ts >= '2024-03-02';
SELECT tableoid::regclass, host, count(*), max(v) FROM parted WHERE host <> 'h1' AND ts >= '2024-03-01 12:00' GROUP BY 1, 2 ORDER BY 1, 2;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT * FROM parted WHERE ts < '2024-03-03' ORDER BY ts DESC LIMIT 1;
SELECT * FROM parted WHERE ts < '2024-03-03' ORDER BY ts DESC LIMIT 1;
RESET enable_sort;
DROP TABLE parted;

--
-- System columns.
--
SELECT tableoid::regclass, ctid IS NOT NULL AS has_ctid FROM cpu WHERE host = 'web1' LIMIT 1;
EXPLAIN (COSTS OFF) SELECT xmin FROM cpu;

--
-- In parallel.
--
SET max_parallel_workers_per_gather = 2;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
EXPLAIN (COSTS OFF) SELECT host, usage FROM cpu WHERE rack = 1 AND ts >= '2024-03-01 05:00';
SELECT count(*), sum(temp) FROM cpu WHERE rack = 1 AND ts >= '2024-03-01 05:00';
EXPLAIN (COSTS OFF) SELECT region, count(*), max(usage) FROM cpu GROUP BY region;
SELECT region, count(*), max(usage) FROM cpu GROUP BY region ORDER BY 1;
-- counters are sums over all processes
SELECT * FROM explain_json($$SELECT * FROM cpu WHERE host ~ '[12]$' AND ts < '2024-03-01 01:00' AND usage < 15$$)
	WHERE key <> 'Rows Removed by Filter';
SELECT line FROM explain_analyze($$SELECT * FROM cpu WHERE rack = 1 AND ts >= '2024-03-01 05:00'$$) line
	WHERE line ~ 'Series|Chunks|Blocks|Samples';
RESET max_parallel_workers_per_gather;
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;

--
-- Without the custom scan.
--
SET memseries.enable_customscan = off;
SET max_parallel_workers_per_gather = 0;
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host = 'web1' AND ts >= '2024-03-01 02:00';
SELECT count(*) FROM cpu WHERE host = 'web1' AND ts >= '2024-03-01 02:00';
RESET memseries.enable_customscan;
-- It is not a sequential scan.
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM cpu WHERE host = 'web1';
RESET enable_seqscan;

-- An empty table.
CREATE TABLE empty (ts timestamptz NOT NULL, host text, v float8) USING memseries;
SELECT explain_analyze($$SELECT * FROM empty WHERE host = 'web1'$$);

-- Collations that disagree are an error only where there is something to compare.
CREATE TABLE collated (ts timestamptz NOT NULL, a text COLLATE "C", b text COLLATE "POSIX", v float8) USING memseries;
SELECT * FROM collated WHERE a = b;
INSERT INTO collated VALUES (now(), 'x', 'x', 1);
SELECT * FROM collated WHERE a = b;
DROP TABLE collated;

-- A list of many values.
CREATE TABLE many (ts timestamptz NOT NULL, host int, v float8) USING memseries;
INSERT INTO many SELECT now(), i, i FROM generate_series(1, 100) i;
SELECT count(*), sum(v) FROM many WHERE host IN (99, 7, 7, 1, 100, NULL, 50, 3, 77, 1000, -1, 2);
SELECT count(*) FROM many WHERE host = ANY ('{}');
-- A list of one value, over and over: more often than 32 bits can count series.
DROP TABLE many;
CREATE TABLE many (ts timestamptz NOT NULL, region text, host int, v float8) USING memseries;
INSERT INTO many SELECT now(), 'eu', i, i FROM generate_series(1, 20000) i;
SELECT count(*) FROM many WHERE region = ANY (array_fill('eu'::text, ARRAY[214750]));
SELECT count(*) FROM many WHERE region = ANY (array_fill('eu'::text, ARRAY[214750]));
SELECT count(*) FROM many WHERE region = ANY (array_fill('eu'::text, ARRAY[214750]));
DROP TABLE many;

DROP FUNCTION telltale;
DROP FUNCTION explain_json;
DROP FUNCTION explain_analyze;
DROP FUNCTION explain;
DROP PROCEDURE wait_until_sealed;
DROP TABLE cpu, few, empty;
DROP ROLE customscan_reader;

--
-- With many series, a backend remembers which ones have a label's value, until one comes or goes.
--
CREATE TABLE cs_many (ts timestamptz NOT NULL, id int, name text, v float8) USING memseries;
SELECT FROM memseries.configure('cs_many', retain => NULL);
INSERT INTO cs_many SELECT '2024-03-01', i, CASE WHEN i % 7 > 0 THEN 'n' || i % 100 END, i FROM generate_series(1, 2000) i;
CREATE FUNCTION cs_look() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3 LOOP
		RETURN NEXT (SELECT concat_ws(' ', count(*), sum(v)) FROM cs_many WHERE id = 777);
		RETURN NEXT (SELECT concat_ws(' ', count(*), sum(v)) FROM cs_many WHERE name IN ('n5', 'n6', 'n5', NULL, 'none'));
		RETURN NEXT (SELECT concat_ws(' ', count(*), sum(v)) FROM cs_many WHERE name = 'n5' AND id IN (5, 205, 2005));
		RETURN NEXT (SELECT concat_ws(' ', count(*), sum(v)) FROM cs_many WHERE name = 'none');
	END LOOP;
END $$;
SELECT * FROM cs_look();
INSERT INTO cs_many VALUES ('2024-03-01', 2005, 'n5', 1000000);
SELECT * FROM cs_look();
SELECT memseries.delete_samples('cs_many', NULL, NULL, 'id = 205');
SELECT * FROM cs_look();
ALTER TABLE cs_many ADD COLUMN kind text DEFAULT 'old';
INSERT INTO cs_many VALUES ('2024-03-01 00:01', 777, 'n77', 1, 'new');
SELECT kind, count(*) FROM cs_many WHERE kind IN ('old', 'new') AND id = 777 GROUP BY kind ORDER BY kind;
SELECT * FROM cs_look();
DROP FUNCTION cs_look;
DROP TABLE cs_many;

--
-- Of very many series some are looked at for estimates, whatever the order they were made in.
--
CREATE TABLE cs_many (ts timestamptz NOT NULL, kind text, id int, v float8) USING memseries;
SELECT FROM memseries.configure('cs_many', retain => NULL);
INSERT INTO cs_many SELECT '2024-03-01', CASE WHEN i > 3 THEN 'k' || i % 6 ELSE 'rare' END, i, i FROM generate_series(1, 20000) i;
CREATE FUNCTION cs_rows(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
	RETURN plan->0->'Plan'->>'Plan Rows';
END $$;
SELECT kind, cs_rows(format('SELECT * FROM cs_many WHERE kind = %L', kind)) BETWEEN 2500 AND 4200 AS sane
	FROM (SELECT DISTINCT kind FROM cs_many WHERE kind <> 'rare') k ORDER BY kind;
SELECT cs_rows('SELECT * FROM cs_many WHERE kind = ''rare''') BETWEEN 1 AND 20 AS sane;
DROP FUNCTION cs_rows;
DROP TABLE cs_many;
-- It also remembers the values in the order of a btree, by which conditions that bound a label find its series.  Whatever
-- is remembered, and whatever came or went in between, the answer is that of a heap table.
--
CREATE TABLE lb_many (ts timestamptz NOT NULL, id int, big int8, name text, code varchar(20), day date, v float8) USING memseries;
CREATE TABLE lb_heap (LIKE lb_many);
SELECT FROM memseries.configure('lb_many', retain => NULL);
CREATE PROCEDURE lb_add(low int, high int) LANGUAGE sql AS $$
	INSERT INTO lb_heap SELECT '2024-03-01', i, i % 500 * 10000000000, CASE WHEN i % 7 > 0 THEN 'n_' || i % 300 END,
		'C' || i % 40, '2024-01-01'::date + i % 90, i FROM generate_series(low, high) i;
	INSERT INTO lb_many SELECT * FROM lb_heap WHERE id BETWEEN low AND high;
$$;
CALL lb_add(1, 2000);
CREATE TABLE lb_conditions (cond text);
INSERT INTO lb_conditions VALUES
	('id < 100'), ('id <= 100'), ('id = 100::int8'), ('id >= 1950'), ('id > 1950'), ('100 > id'), ('id BETWEEN 300 AND 320'),
	('id > 320 AND id < 300'), ('id > 10'), ('id < NULL'), ('id < 50 AND id = 7'), ('id <> 5'), ('id < 1950::int8 AND 1940 < id'),
	('id = ANY (ARRAY[5, 6, 7, NULL]::int8[])'), ('id = ANY (NULL::int8[])'), ('id < ANY (ARRAY[5, 9])'), ('id NOT IN (3, 4)'),
	('big < 30000000000'), ('big = 40000000000 OR big > 4980000000000'), ('big BETWEEN 5 AND 6'), ('big < 5'),
	('id = 7 OR id = 9 OR id < 3'), ('id = 7 OR big = 0'), ('id < 10 OR id IS NULL'), ('id = 7 OR (id = 8 AND big > 0)'),
	('name < ''n_11'''), ('name >= ''n_98'''), ('name LIKE ''n\_29%'''), ('name LIKE ''n_29%'''), ('name LIKE ''%9'''),
	('name LIKE ''n\_29'''), ('name LIKE NULL'), ('name LIKE ''n\_1%'' AND name LIKE ''n\_12%'' AND id < 500'), ('name NOT LIKE ''n\_1%'''),
	('name ILIKE ''N\_29%'''), ('name ~ ''^n_29'''), ('name ~ ''^(n_29)$'''), ('name ~ ''9$'''), ('name ^@ ''n_29'''), ('name !~ ''^n_2'''),
	('name LIKE ''n\_29%'' OR name = ''n_5'''), ('name LIKE ANY (ARRAY[''n\_29%'', ''n\_5''])'), ('name COLLATE "C" < ''n_11'''),
	('code LIKE ''C3%'''), ('code > ''C38'''), ('code = ''C7'' AND id < 300'), ('code IN (''C1'', ''C2'') AND id >= 1900'),
	('day < ''2024-01-03'''), ('day BETWEEN ''2024-03-01'' AND ''2024-03-05'' AND id > 1000'), ('name LIKE ''n\_1%'' AND 10 / id > 0'),
	('id < (SELECT 20)'), ('id < (SELECT max(v) FROM lb_heap WHERE lb_heap.v < 30)');
CREATE FUNCTION lb_differences(OUT times int, OUT cond text, OUT many text, OUT heap text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
	FOR times, cond IN SELECT i, c.cond FROM generate_series(1, 3) i, lb_conditions c LOOP
		EXECUTE format('SELECT concat_ws('' '', count(*), sum(v)) FROM lb_many WHERE %s', cond) INTO many;
		EXECUTE format('SELECT concat_ws('' '', count(*), sum(v)) FROM lb_heap WHERE %s', cond) INTO heap;
		IF many IS DISTINCT FROM heap THEN
			RETURN NEXT;
		END IF;
		EXECUTE format('SELECT concat_ws('' '', count(*), sum(v)) FROM (SELECT * FROM lb_many WHERE %s OFFSET 0) x', cond) INTO many;
		IF many IS DISTINCT FROM heap THEN
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;
SELECT * FROM lb_differences();
-- series come, and go
CALL lb_add(-20, -1);
SELECT * FROM lb_differences();
SELECT count(*) FROM lb_many JOIN lb_heap h USING (id) WHERE h.id BETWEEN 90 AND 120;
DELETE FROM lb_heap WHERE id % 10 = 0;
SELECT memseries.delete_samples('lb_many', NULL, NULL, 'id % 10 = 0');
CALL lb_add(2001, 2100);
SELECT * FROM lb_differences();
-- a label that older series do not have
ALTER TABLE lb_many ADD COLUMN kind int DEFAULT 5;
ALTER TABLE lb_heap ADD COLUMN kind int DEFAULT 5;
INSERT INTO lb_many SELECT '2024-03-02', i, i, 'n', 'C', '2024-01-01', i, i FROM generate_series(1, 100) i;
INSERT INTO lb_heap SELECT '2024-03-02', i, i, 'n', 'C', '2024-01-01', i, i FROM generate_series(1, 100) i;
INSERT INTO lb_conditions VALUES ('kind < 7'), ('kind > 90'), ('kind = 5 AND id < 10'), ('kind = 8::int8 OR kind = 9');
SELECT * FROM lb_differences();
-- a cursor that goes on while the index is made anew
BEGIN;
DECLARE lb_cursor CURSOR FOR SELECT id FROM lb_many WHERE id BETWEEN 101 AND 106;
FETCH 2 FROM lb_cursor;
CALL lb_add(3001, 3002);
SELECT count(*) FROM lb_many WHERE id BETWEEN 3000 AND 3002;
SELECT count(*) FROM lb_many WHERE id BETWEEN 3000 AND 3002;
FETCH ALL FROM lb_cursor;
ROLLBACK;
SELECT * FROM lb_differences();
-- Once a condition can be looked up, only what is left is asked the others.  (Of a table from which nothing goes.)
CREATE TABLE lb_still (ts timestamptz NOT NULL, id int, name text, v float8) USING memseries;
INSERT INTO lb_still SELECT now(), i, 'n_' || i, i FROM generate_series(1, 2000) i;
CREATE FUNCTION lb_tell(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'asked of %', $1; RETURN true; END $$;
CREATE PROCEDURE lb_look() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3 LOOP
		PERFORM sum(v) FROM lb_still WHERE name LIKE 'n\_29%' AND id < 295;
	END LOOP;
END $$;
CALL lb_look();
SELECT count(*) FROM lb_still WHERE name LIKE 'n\_29%' AND id < 295 AND lb_tell(id);
-- and a join looks them up
CREATE FUNCTION lb_plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP
		IF line ~ 'Series|Loop|Scan' THEN
			line := regexp_replace(line, '\((\(.*\)) = id\)', '(id = \1)');	-- servers put it either way
			RETURN NEXT trim(regexp_replace(line, ' \(actual.*', ''));
		END IF;
	END LOOP;
END $$;
SELECT lb_plan('SELECT * FROM generate_series(1, 3) i JOIN lb_still ON id = i * 7');
SELECT lb_plan('SELECT * FROM lb_still WHERE id IN (SELECT i * 7 FROM generate_series(1, 3) i)');
DROP FUNCTION lb_tell, lb_plan, lb_differences;
DROP PROCEDURE lb_add, lb_look;
DROP TABLE lb_many, lb_heap, lb_still, lb_conditions;

--
-- Chunks larger than a scan's buffer, of scans inside each other, one of which fails halfway; what a scan has copied is its own.
--
CREATE TABLE cs_wide (ts timestamptz NOT NULL, host int, a float8, b float8) USING memseries;
SELECT FROM memseries.configure('cs_wide', retain => NULL, chunk_interval => '1 day');
INSERT INTO cs_wide SELECT '2024-03-01'::timestamptz + i * interval '2 s', h, sqrt(i + h), sin(i * h) FROM generate_series(0, 39999) i, generate_series(1, 2) h;
CREATE FUNCTION cs_inside(h int) RETURNS float8 LANGUAGE sql STABLE AS 'SELECT max(a + b) FROM cs_wide WHERE host = h';
SELECT count(*), sum(floor(a)) FROM cs_wide WHERE 1 / (39990 - floor(a * a)) < 2;
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM cs_wide WHERE CASE WHEN a > 150 THEN cs_inside(1) / (host - 1) ELSE 1 END > 0;
ROLLBACK TO s;
SELECT count(*), sum(floor(a)), count(DISTINCT cs_inside(host)) FROM (SELECT * FROM cs_wide WHERE a > 199.9) x;
COMMIT;
SELECT count(*), sum(floor(a)) FROM cs_wide;
SELECT sum(n), sum(s) FROM (SELECT count(*) n, sum(floor(sqrt(i + h))) s FROM generate_series(0, 39999) i, generate_series(1, 2) h) x;
DROP FUNCTION cs_inside;
DROP TABLE cs_wide;
