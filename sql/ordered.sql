-- Rows in the order of time, and one row of each series: only what is needed is read.
CREATE EXTENSION IF NOT EXISTS memseries;
CREATE TABLE ordered (ts timestamptz NOT NULL, host text, dc int, v float8, w float4) USING memseries;
SELECT (memseries.configure('ordered', chunk_interval => '1 hour', retain => NULL)).chunk_interval;
INSERT INTO ordered
SELECT timestamptz '2024-05-01 00:00+00' + i * interval '10 s' + h * interval '1 s', 'h' || h, h % 3, i, CASE WHEN i % 100 > 0 THEN h END
  FROM generate_series(0, 3599) i, generate_series(1, 5) h;
ANALYZE ordered;
SET TimeZone = 'UTC';
SET max_parallel_workers_per_gather = 0;
SET jit = off;

-- The newest rows over all series, and the oldest ones in a range
EXPLAIN (COSTS OFF) SELECT ts, host, v FROM ordered ORDER BY ts DESC LIMIT 3;
SELECT ts, host, v FROM ordered ORDER BY ts DESC LIMIT 3;
EXPLAIN (COSTS OFF) SELECT ts, host, v FROM ordered WHERE dc = 1 AND ts > '2024-05-01 02:00+00' ORDER BY ts LIMIT 3;
SELECT ts, host, v FROM ordered WHERE dc = 1 AND ts > '2024-05-01 02:00+00' ORDER BY ts LIMIT 3;
-- More sort keys behind the time
EXPLAIN (COSTS OFF) SELECT ts, host FROM ordered ORDER BY ts DESC, host LIMIT 2;
-- Conditions on values are tested on the way
SELECT ts, host, v, w FROM ordered WHERE v < 200 AND w IS NULL ORDER BY ts DESC LIMIT 6;
-- The whole in order
SELECT count(*), count(*) FILTER (WHERE ts < before) AS disorder FROM (SELECT ts, lag(ts) OVER (ORDER BY ts) AS before FROM ordered) x;

-- One series has that order by itself
EXPLAIN (COSTS OFF) SELECT ts, v FROM ordered WHERE host = 'h2' ORDER BY ts DESC LIMIT 2;
SELECT ts, v FROM ordered WHERE host = 'h2' ORDER BY ts DESC LIMIT 2;
SELECT ts, v, w FROM ordered WHERE host = 'h2' AND ts < '2024-05-01 03:00+00' AND w IS NULL ORDER BY ts DESC LIMIT 2;

-- Where few rows meet a condition on values, these are sorted: it is met for whole blocks, before there are rows
EXPLAIN (COSTS OFF) SELECT ts, v FROM ordered WHERE host = 'h2' AND v > 3596 ORDER BY ts;
SELECT ts, v FROM ordered WHERE host = 'h2' AND v > 3596 ORDER BY ts;
-- Not for the first of many
EXPLAIN (COSTS OFF) SELECT ts, v FROM ordered WHERE v > 100 ORDER BY ts LIMIT 1;

-- The newest row of each series
EXPLAIN (COSTS OFF) SELECT DISTINCT ON (host) host, ts, v FROM ordered ORDER BY host, ts DESC;
SELECT DISTINCT ON (host) host, ts, v FROM ordered ORDER BY host, ts DESC;
SELECT DISTINCT ON (dc) dc, host, ts FROM ordered WHERE v < 1000 ORDER BY dc, ts DESC, host;
SELECT DISTINCT ON (host) host, ts, w FROM ordered WHERE w IS NULL AND ts >= '2024-05-01 01:00+00' ORDER BY host, ts;
-- Not this: the order goes on with something else, or what is distinct is not a label
SET enable_incremental_sort = off;
EXPLAIN (COSTS OFF) SELECT DISTINCT ON (host) host, ts FROM ordered ORDER BY host, v DESC;
EXPLAIN (COSTS OFF) SELECT DISTINCT ON (w) w, ts FROM ordered ORDER BY w, ts DESC;
RESET enable_incremental_sort;

-- In the order of labels: series are sorted, not rows
EXPLAIN (COSTS OFF) SELECT * FROM ordered ORDER BY dc DESC, host, ts;
SELECT max(d), count(d) FROM (SELECT ts - lag(ts) OVER (PARTITION BY host ORDER BY ts) AS d FROM ordered) x;
-- rows of several series of one label are sorted by time, no others
EXPLAIN (COSTS OFF) SELECT * FROM ordered ORDER BY dc, ts;
SELECT count(*), count(*) FILTER (WHERE (dc, ts) < (d, t)) AS disorder
  FROM (SELECT dc, ts, lag(dc) OVER w AS d, lag(ts) OVER w AS t FROM (SELECT dc, ts FROM ordered ORDER BY dc, ts OFFSET 0) x WINDOW w AS ()) y;
SELECT dc, ts, host, v FROM ordered WHERE v > 1700 AND host <> 'h3' ORDER BY dc DESC, ts LIMIT 3;
SELECT n, array(SELECT host || ' ' || v FROM ordered WHERE v >= n AND v < n + 1 ORDER BY dc, ts) FROM generate_series(1, 3) n;

-- For each row of another table; the series is looked up
CREATE TEMP TABLE names AS SELECT 'h' || i AS host FROM generate_series(0, 6) i;
ANALYZE names;
EXPLAIN (COSTS OFF) SELECT n.host, l.* FROM names n LEFT JOIN LATERAL (SELECT ts, v FROM ordered o WHERE o.host = n.host ORDER BY ts DESC LIMIT 1) l ON true;
SELECT n.host, l.* FROM names n LEFT JOIN LATERAL (SELECT ts, v FROM ordered o WHERE o.host = n.host ORDER BY ts DESC LIMIT 1) l ON true ORDER BY 1;

-- Rows not yet folded, and those of the own transaction, take part; deleted ones do not
BEGIN;
INSERT INTO ordered VALUES ('2024-05-01 10:30+00', 'h1', 1, -1, 0), ('2024-05-01 09:59:51+00', 'h1', 1, -2, 0), ('2024-05-01 10:30+00', 'new', 7, -3, 0);
SELECT ts, host, v FROM ordered ORDER BY ts DESC, host LIMIT 3;
SELECT DISTINCT ON (host) host, ts, v FROM ordered ORDER BY host, ts DESC;
SELECT memseries.delete_samples('ordered', '2024-05-01 09:00+00', NULL);
SELECT DISTINCT ON (host) host, ts, v FROM ordered ORDER BY host, ts DESC;
SELECT ts, host, v FROM ordered ORDER BY ts DESC LIMIT 1;
ROLLBACK;
SELECT ts, host, v FROM ordered ORDER BY ts DESC LIMIT 1;
DROP TABLE ordered;

-- A slice that takes too much memory is read again as shorter ones
CREATE TABLE ordered (ts timestamptz NOT NULL, host int, v float8) USING memseries;
SELECT (memseries.configure('ordered', chunk_interval => '4 hours', retain => NULL)).retain;
INSERT INTO ordered SELECT timestamptz '2024-05-01 00:00+00' + i * interval '100 ms', h, i FROM generate_series(0, 999) i, generate_series(1, 200) h;
INSERT INTO ordered VALUES ('2024-06-01 00:00+00', 1, 0);
ANALYZE ordered;
SET work_mem = '64kB';
BEGIN;
DECLARE newest CURSOR FOR SELECT ts, v FROM ordered ORDER BY ts DESC LIMIT 3;
FETCH ALL FROM newest;
SELECT sum(total_bytes) < 5000000 AS is_small FROM pg_backend_memory_contexts WHERE name = 'memseries sorted scan';
COMMIT;
SELECT count(*), count(*) FILTER (WHERE ts < before) AS disorder FROM (SELECT ts, lag(ts) OVER (ORDER BY ts) AS before FROM ordered) x;
SELECT count(*), count(*) FILTER (WHERE ts > before) AS disorder FROM (SELECT ts, lag(ts) OVER (ORDER BY ts DESC) AS before FROM ordered) x;
RESET work_mem;
DROP TABLE ordered;

-- Many series: which come first is found out before any is read.  What comes out is what a heap table says.
CREATE TABLE ordered (ts timestamptz NOT NULL, host int, v float8) USING memseries;
CREATE TABLE heap (LIKE ordered);
SELECT (memseries.configure('ordered', chunk_interval => '1 hour', retain => NULL)).retain;
-- all at the same times; each at its own; some long gone; some that come back
INSERT INTO heap SELECT timestamptz '2024-05-01 00:00+00' + i * interval '10 min', h, i FROM generate_series(0, 9) i, generate_series(1, 1500) h;
INSERT INTO heap SELECT timestamptz '2024-05-01 01:40+00' + i * interval '1 min' + h * interval '13 ms', h, i FROM generate_series(0, 3) i, generate_series(1, 1500) h WHERE h % 3 > 0;
INSERT INTO heap SELECT timestamptz '2024-05-02 00:00+00' + h * interval '1 us', h, 7 FROM generate_series(1, 3000) h WHERE h % 50 = 0;
INSERT INTO ordered SELECT * FROM heap;
CREATE FUNCTION differing(cond text DEFAULT 'true', skip int DEFAULT 0) RETURNS TABLE (direction text, n int, ordered text, heap text) LANGUAGE plpgsql AS $$
DECLARE
	query text := 'SELECT concat_ws('' '', count(*), string_agg(ts::text, '' '')) FROM (SELECT ts FROM %s WHERE %s ORDER BY ts %s LIMIT %s) x';
BEGIN
	FOR direction, n IN SELECT d, l FROM unnest(ARRAY['ASC', 'DESC']) d, unnest(ARRAY[1, 5, 300, 2000, 5000, 40000]) l LOOP
		EXECUTE format(query, 'ordered', cond, direction, n) INTO ordered;
		EXECUTE format(query, 'heap', cond, direction, n) INTO heap;
		IF ordered IS DISTINCT FROM heap THEN
			RETURN NEXT;
		END IF;
	END LOOP;
	-- the rows are whole
	EXECUTE format('SELECT count(*)::text FROM (SELECT * FROM ordered WHERE %s ORDER BY ts DESC OFFSET 0) x NATURAL JOIN heap', cond) INTO ordered;
	EXECUTE format('SELECT count(*)::text FROM heap WHERE %s', cond) INTO heap;
	direction := 'rows';
	IF ordered IS DISTINCT FROM heap THEN
		RETURN NEXT;
	END IF;
END $$;
SET enable_sort = off;
SELECT * FROM differing();
SELECT * FROM differing('host < 900 AND v > 3');
SELECT * FROM differing('ts < ''2024-05-01 01:41:15+00''');
SELECT * FROM differing('ts >= ''2024-05-01 00:45+00'' AND ts < ''2024-05-01 00:50+00''');
SELECT * FROM differing('ts = ''2024-05-01 00:50+00''');
SELECT * FROM differing('host = 3000');
-- with rows not folded, deletes, and those of the own transaction
BEGIN;
INSERT INTO heap SELECT '2024-05-02 00:00+00', h, 8 FROM generate_series(5000, 5005) h;
INSERT INTO ordered SELECT '2024-05-02 00:00+00', h, 8 FROM generate_series(5000, 5005) h;
SELECT memseries.delete_samples('ordered', '2024-05-01 01:42+00', '2024-05-02 00:00:00.001+00');
DELETE FROM heap WHERE ts >= '2024-05-01 01:42+00' AND ts < '2024-05-02 00:00:00.001+00';
SELECT * FROM differing();
ROLLBACK;
SELECT * FROM differing();
RESET enable_sort;
-- to have all of it in order, it is sorted
EXPLAIN (COSTS OFF) SELECT * FROM ordered ORDER BY ts DESC LIMIT 5;
DROP FUNCTION differing;
DROP TABLE ordered, heap;

-- By a label: series are visited in its order.  Whether the backend remembers that or not, what comes out is what a heap table says.
CREATE TABLE ordered (ts timestamptz NOT NULL, id int, name text, v float8) USING memseries;
CREATE TABLE single (ts timestamptz NOT NULL, name varchar(10), v float8) USING memseries;
CREATE TABLE heap (LIKE ordered);
SELECT memseries.configure('ordered', retain => NULL) IS NULL, memseries.configure('single', retain => NULL) IS NULL;
CREATE PROCEDURE add_rows(low int, high int) LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE more AS SELECT timestamptz '2024-05-01 00:00+00' + i * interval '3 hours' + h * interval '1 s' AS ts,
		(h * 7919) % 5000 AS id, CASE WHEN h % 11 > 0 THEN 'n' || h % 700 END AS name, h + i AS v FROM generate_series(0, 2) i, generate_series(low, high) h;
	INSERT INTO heap SELECT * FROM more;
	INSERT INTO ordered SELECT * FROM more;
	INSERT INTO single SELECT ts, 'n' || id, v FROM more;
	DROP TABLE more;
END $$;
CALL add_rows(1, 1500);
CREATE FUNCTION differing(cond text DEFAULT 'true') RETURNS TABLE (sorted text, n int, ordered text, heap text) LANGUAGE plpgsql AS $$
DECLARE
	cols text;
	query text := 'SELECT concat_ws('' '', count(*), string_agg(x::text, '' '')) FROM (SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %s) x';
BEGIN
	FOR sorted, cols, n IN SELECT o, c, l FROM unnest(ARRAY[1, 7, 5000]) l,
			(VALUES ('id', 'id'), ('id DESC', 'id'), ('id, ts', 'id, ts'), ('id DESC, ts DESC', 'id, ts'), ('id, name, ts', 'id, name, ts'),
				('name', 'name'), ('name DESC', 'name'), ('name NULLS FIRST, id', 'name, id'), ('name COLLATE "C"', 'name')) q(o, c) LOOP
		EXECUTE format(query, cols, 'ordered', cond, sorted, n) INTO ordered;
		EXECUTE format(query, cols, 'heap', cond, sorted, n) INTO heap;
		IF ordered IS DISTINCT FROM heap THEN
			RETURN NEXT;
		END IF;
	END LOOP;
	FOR sorted IN SELECT unnest(ARRAY['max(id)', 'min(id)', 'max(name)', 'min(name)']) LOOP
		EXECUTE format('SELECT %s FROM ordered WHERE %s', sorted, cond) INTO ordered;
		EXECUTE format('SELECT %s FROM heap WHERE %s', sorted, cond) INTO heap;
		IF ordered IS DISTINCT FROM heap THEN
			RETURN NEXT;
		END IF;
	END LOOP;
	-- by the only label, and then by the time
	FOR sorted IN SELECT unnest(ARRAY['name, ts', 'name DESC, ts', 'name, ts DESC']) LOOP
		EXECUTE format(query, 'name, ts', 'single', 'v > 7', sorted, 2000) INTO ordered;
		EXECUTE format(query, 'name, ts', '(SELECT ts, ''n'' || id AS name, v FROM heap) h', 'v > 7', sorted, 2000) INTO heap;
		IF ordered IS DISTINCT FROM heap THEN
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;
SET enable_sort = off;
SET enable_hashagg = off;
SELECT * FROM differing();
SELECT * FROM differing();
SELECT * FROM differing('id BETWEEN 1000 AND 3000');
SELECT * FROM differing('id > 1200 AND ts > ''2024-05-01 04:00+00''');
SELECT * FROM differing('name IN (''n7'', ''n70'', ''n77'') AND id < 4000');
SELECT * FROM differing('name = ''n7'' AND name IS NOT NULL');
SELECT * FROM differing('name > ''n50'' AND v > 300');
-- series come, and go
CALL add_rows(1501, 1700);
SELECT memseries.delete_samples('ordered', '2024-05-01 02:00+00', NULL, 'id % 3 = 0') > 0 AS deleted;
DELETE FROM heap WHERE id % 3 = 0 AND ts >= '2024-05-01 02:00+00';
SELECT * FROM differing() WHERE sorted NOT IN ('name, ts', 'name DESC, ts', 'name, ts DESC');
SELECT * FROM differing('id < 900') WHERE sorted NOT IN ('name, ts', 'name DESC, ts', 'name, ts DESC');
-- a scan goes on where it was when what the backend remembered is gone
CREATE FUNCTION walk_on(direction text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	walk refcursor;
	id int;
	ids int[];
	expected int[];
BEGIN
	EXECUTE format('SELECT array_agg(id ORDER BY id %s) FROM heap WHERE id > 30', direction) INTO expected;
	FOR i IN 1 .. 3 LOOP
		PERFORM min(o.id) FROM ordered o;
	END LOOP;
	OPEN walk FOR EXECUTE format('SELECT id FROM ordered WHERE id > 30 ORDER BY id %s', direction);
	LOOP
		FETCH walk INTO id;
		EXIT WHEN NOT FOUND;
		ids := ids || id;
		IF cardinality(ids) IN (5, 700) THEN
			INSERT INTO ordered SELECT '2024-05-01', i, 'walk', i FROM generate_series(6000, 6000 + cardinality(ids)) i;
			FOR i IN 1 .. 3 LOOP
				PERFORM min(o.id) FROM ordered o;
			END LOOP;
		END IF;
	END LOOP;
	RETURN ids = expected;
END $$;
BEGIN;
SELECT walk_on('ASC');
ROLLBACK;
BEGIN;
SELECT walk_on('DESC');
ROLLBACK;
RESET enable_sort;
RESET enable_hashagg;
ALTER TABLE ordered ADD COLUMN kind text DEFAULT 'old';
INSERT INTO ordered VALUES ('2024-05-02', 1, 'n', 1, 'new'), ('2024-05-02', 1, 'n', 1, 'zip'), ('2024-05-02', 1, 'n', 1, NULL);
SELECT kind, count(*) FROM (SELECT kind FROM ordered ORDER BY kind LIMIT 5000) x GROUP BY kind ORDER BY kind;
SELECT max(kind), min(kind) FROM ordered;
-- only the first series is read
EXPLAIN (COSTS OFF) SELECT * FROM single ORDER BY name, ts LIMIT 5;
EXPLAIN (COSTS OFF) SELECT * FROM single ORDER BY name DESC, ts DESC LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM ordered ORDER BY id DESC LIMIT 1;
DROP FUNCTION differing, walk_on;
DROP PROCEDURE add_rows;
DROP TABLE ordered, single, heap;

-- All rows by time, in slices that grow, and one that is given up as too long: dense times, gaps of hours, nulls
CREATE TABLE slices (ts timestamptz NOT NULL, id int, v float8, w float4) USING memseries;
SELECT (memseries.configure('slices', chunk_interval => '1 hour', retain => NULL)).retain;
INSERT INTO slices SELECT timestamptz '2024-05-01 00:00+00' + CASE WHEN i < 200 THEN i * interval '10 s' WHEN i < 500 THEN interval '40 min' + (i * 7 % 300) * interval '1 ms'
	ELSE i * interval '1 min' END + id % 3 * interval '1 us', id, nullif((i * id) % 13, 5), i / 8.0
  FROM generate_series(1, 300) id, generate_series(0, 599 - 300 * (id / 290)) i;
ANALYZE slices;
SET enable_sort = off;
SET work_mem = '64kB';
EXPLAIN (COSTS OFF) SELECT * FROM slices ORDER BY ts;
SELECT sum(hashtext(slices::text)::numeric) AS sum FROM slices \gset
SELECT count(*), sum(hashtext(row(ts, id, v, w)::text)::numeric) = :sum AS same, bool_and(ts >= previous) AS sorted
  FROM (SELECT *, lag(ts, 1, ts) OVER () previous FROM (SELECT * FROM slices ORDER BY ts OFFSET 0) ordered) rows;
SELECT count(*), sum(hashtext(row(ts, id, v, w)::text)::numeric) = :sum AS same, bool_and(ts <= previous) AS sorted
  FROM (SELECT *, lag(ts, 1, ts) OVER () previous FROM (SELECT * FROM slices ORDER BY ts DESC OFFSET 0) ordered) rows;
RESET work_mem;
SELECT count(*), bool_and(ts >= previous) AS sorted
  FROM (SELECT *, lag(ts, 1, ts) OVER () previous FROM (SELECT * FROM slices WHERE ts >= '2024-05-01 00:10+00' AND v > 3 ORDER BY ts OFFSET 0) ordered) rows;
SELECT count(*) FROM slices WHERE ts >= '2024-05-01 00:10+00' AND v > 3;
RESET enable_sort;
DROP TABLE slices;
