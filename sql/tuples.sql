-- Rows of a scan become tuples where they are inserted, sorted, hashed, kept or sent: the same as those of a heap table.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET max_parallel_workers_per_gather = 0;

-- Labels of all lengths and alignments, some NULL, some too long for a tuple in a page; a real and a generated column, one
-- that stored rows do not have; values that are always, sometimes or never NULL.
CREATE TABLE readings (flag boolean, ts timestamptz NOT NULL, host text, c "char", v float8, id int, w real,
	note varchar, n numeric, u uuid, twice float8 GENERATED ALWAYS AS (v * 2) STORED, rare float8, never float8) USING memseries;
SELECT FROM memseries.configure('readings', chunk_interval => '1 hour', retain => NULL);
CREATE TABLE readings_heap (LIKE readings INCLUDING GENERATED);
INSERT INTO readings_heap (flag, ts, host, c, v, id, w, note, n, u, rare)
	SELECT h % 2 = 0, '2024-03-01'::timestamptz + i * interval '10 s', CASE WHEN h <> 3 THEN repeat('h', h) END, chr(97 + h)::"char",
		CASE WHEN h <> 2 OR i % 7 <> 0 THEN i * 1.5 END, CASE WHEN h <> 4 THEN h END, CASE WHEN h <> 5 THEN i % 100 / 8.0 END,
		CASE WHEN h = 1 THEN (SELECT string_agg(md5(k::text), '') FROM generate_series(1, 300) k) WHEN h = 6 THEN repeat('long', 2000)
			WHEN h = 7 THEN '' END,
		CASE WHEN h % 3 = 0 THEN h / 7.0 END, CASE WHEN h % 3 = 1 THEN md5(h::text)::uuid END, CASE WHEN (i / 20) % 5 = h THEN i END
	FROM generate_series(0, 599) i, generate_series(0, 7) h;
INSERT INTO readings (flag, ts, host, c, v, id, w, note, n, u, rare)
	SELECT flag, ts, host, c, v, id, w, note, n, u, rare FROM readings_heap;
ALTER TABLE readings ADD COLUMN site text;
ALTER TABLE readings_heap ADD COLUMN site text;

-- How many rows a query has, and how many of them differ from the heap table's.
CREATE FUNCTION compare(query text, OUT n bigint, OUT missing bigint, OUT wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TEMP TABLE found ON COMMIT DROP AS SELECT * FROM (%s) q', query);
	SELECT count(*) FROM found INTO n;
	SELECT count(*) FROM (SELECT * FROM readings_heap EXCEPT ALL SELECT * FROM found) d INTO missing;
	SELECT count(*) FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM readings_heap) d INTO wrong;
	DROP TABLE found;
END $$;

-- Inserted as they are.
SELECT * FROM compare('SELECT * FROM readings');
CREATE MATERIALIZED VIEW readings_view AS SELECT * FROM readings;
REFRESH MATERIALIZED VIEW readings_view;
SELECT * FROM compare('TABLE readings_view');
CREATE TABLE copied (LIKE readings_heap);
INSERT INTO copied SELECT * FROM readings;
SELECT * FROM compare('TABLE copied');
CREATE TABLE copied_again (LIKE readings) USING memseries;
SELECT FROM memseries.configure('copied_again', retain => NULL);
INSERT INTO copied_again SELECT * FROM readings;
SELECT * FROM compare('TABLE copied_again');
CREATE TABLE parted (LIKE readings_heap) PARTITION BY LIST (flag);
CREATE TABLE parted_even PARTITION OF parted FOR VALUES IN (true);
CREATE TABLE parted_odd AS SELECT site, never, rare, twice, u, n, note, w, id, v, c, host, ts, flag FROM readings_heap WITH NO DATA;
ALTER TABLE parted_odd ALTER ts SET NOT NULL;
ALTER TABLE parted ATTACH PARTITION parted_odd FOR VALUES IN (false);
INSERT INTO parted SELECT * FROM readings;
SELECT * FROM compare('TABLE parted');

-- Inserted where triggers see them, and change them.
CREATE FUNCTION see_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.never := 8;
	RETURN NEW;
END $$;
CREATE FUNCTION see_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '% rows, % of them changed', (SELECT count(*) FROM inserted), (SELECT count(*) FROM inserted WHERE never = 8);
	RETURN NULL;
END $$;
TRUNCATE copied, copied_again;
CREATE TRIGGER a BEFORE INSERT ON copied FOR EACH ROW EXECUTE FUNCTION see_row();
CREATE TRIGGER b BEFORE INSERT ON copied FOR EACH ROW EXECUTE FUNCTION see_row();
CREATE TRIGGER c AFTER INSERT ON copied REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION see_rows();
CREATE TRIGGER a BEFORE INSERT ON copied_again FOR EACH ROW EXECUTE FUNCTION see_row();
CREATE TRIGGER b BEFORE INSERT ON copied_again FOR EACH ROW EXECUTE FUNCTION see_row();
CREATE TRIGGER c AFTER INSERT ON copied_again REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION see_rows();
INSERT INTO copied SELECT * FROM readings;
UPDATE copied SET never = NULL;
SELECT * FROM compare('TABLE copied');
INSERT INTO copied_again SELECT * FROM readings;
INSERT INTO copied_again SELECT * FROM copied;
SELECT * FROM compare('SELECT c.flag, c.ts, c.host, c.c, c.v, c.id, c.w, c.note, c.n, c.u, c.twice, c.rare, nullif(c.never, 8), c.site
	FROM copied_again c');
WITH i AS (INSERT INTO copied SELECT * FROM readings RETURNING *, tableoid::regclass AS tab, xmin <> 0 AS has_xmin)
	SELECT count(*), count(v), min(never), min(tab::text), bool_and(has_xmin) FROM i;

-- Sorted, of which some rows suffice, hashed, kept, and sent by other processes.
SELECT * FROM compare('SELECT * FROM readings ORDER BY v, c OFFSET 0');
SELECT count(*), count(h.ts) FROM (SELECT * FROM readings ORDER BY v DESC NULLS LAST, c, ts LIMIT 50) m
	LEFT JOIN (SELECT * FROM readings_heap ORDER BY v DESC NULLS LAST, c, ts LIMIT 50) h ON m::text = h::text;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT m.* FROM generate_series(0, 100000) i JOIN readings m ON m.ts = '2024-03-01'::timestamptz + i * interval '10 s';
SELECT * FROM compare('SELECT m.* FROM generate_series(0, 100000) i JOIN readings m ON m.ts = ''2024-03-01''::timestamptz + i * interval ''10 s''');
SET work_mem = '64kB';
SELECT * FROM compare('SELECT m.* FROM generate_series(0, 100000) i JOIN readings m ON m.ts = ''2024-03-01''::timestamptz + i * interval ''10 s''');
SELECT * FROM compare('SELECT * FROM readings ORDER BY v, c OFFSET 0');
RESET work_mem;
RESET enable_mergejoin;
RESET enable_nestloop;
SELECT * FROM compare('WITH m AS MATERIALIZED (SELECT * FROM readings) SELECT * FROM m');
SELECT * FROM compare('SELECT DISTINCT * FROM readings');
SELECT * FROM compare('SELECT * FROM readings WHERE v IS NULL OR v >= 0');
SELECT * FROM compare('SELECT (r).* FROM (SELECT r FROM readings r ORDER BY r.v) s');
SELECT * FROM compare('SELECT * FROM readings WHERE c < ''e'' UNION ALL SELECT * FROM readings_heap WHERE c >= ''e''');
SELECT tableoid::regclass, max(t.c) FROM (SELECT tableoid, * FROM readings ORDER BY v) t GROUP BY 1;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT * FROM readings;
COMMIT;
FETCH ABSOLUTE 700 FROM held \gset held_
SELECT :'held_ts' AS ts, :'held_c' AS c, :'held_v' AS v;
CLOSE held;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT * FROM readings;
SELECT * FROM compare('SELECT * FROM readings');
SELECT * FROM compare('SELECT * FROM readings ORDER BY v, c');

RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET parallel_leader_participation;

-- Scans begin again, with rows of another series still in the slot; one stops and another one of the same plan begins.
SELECT count(*), count(DISTINCT m.c), sum(m.v) FROM (VALUES ('a'::"char"), ('d'), ('z'), ('a')) l(c),
	LATERAL (SELECT * FROM readings r WHERE r.c = l.c ORDER BY v LIMIT 5) m;

-- Columns that were dropped, or have what rows stored before were given.
DROP MATERIALIZED VIEW readings_view;
DROP TABLE copied;
ALTER TABLE readings DROP COLUMN flag, ADD COLUMN given text DEFAULT 'somewhere', ADD COLUMN late float8 DEFAULT 7;
ALTER TABLE readings_heap DROP COLUMN flag, ADD COLUMN given text DEFAULT 'somewhere', ADD COLUMN late float8 DEFAULT 7;
SELECT * FROM compare('SELECT * FROM readings');
CREATE TABLE copied (LIKE readings_heap);
INSERT INTO copied SELECT * FROM readings;
SELECT * FROM compare('TABLE copied');
SELECT * FROM compare('SELECT * FROM readings ORDER BY v, c OFFSET 0');

DROP TABLE readings, readings_heap, copied, copied_again, parted;
DROP FUNCTION see_row, see_rows, compare;
