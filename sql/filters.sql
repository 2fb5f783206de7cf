-- Conditions on values are met for a block of rows at a time.  Whatever they are, the rows are those of a heap table.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET max_parallel_workers_per_gather = 0;

-- Four series of two windows, in blocks of 256 samples; what makes comparing difficult is in some of them.
CREATE TABLE filtered (ts timestamptz NOT NULL, host text, v float8, w real, mostly_null float8) USING memseries;
SELECT FROM memseries.configure('filtered', chunk_interval => '1 hour', retain => NULL);
CREATE TABLE filtered_heap (LIKE filtered);
INSERT INTO filtered_heap
	SELECT '2024-03-01'::timestamptz + i * interval '5 s', 'h' || h,
		CASE WHEN h = 1 AND i % 50 = 7 THEN 'NaN'::float8 WHEN h = 1 AND i % 50 = 8 THEN 'Infinity' WHEN h = 1 AND i % 50 = 9 THEN '-Infinity'
			WHEN i % 97 = 0 THEN '-0' ELSE (i / 100 * 10 + h) END,
		CASE WHEN i % 13 > 0 THEN i % 100 / 10.0 END,
		CASE WHEN i BETWEEN 300 AND 310 THEN i END
	FROM generate_series(0, 1439) i, generate_series(0, 3) h;
INSERT INTO filtered SELECT * FROM filtered_heap;

CREATE PROCEDURE wait_until_sealed(tab regclass) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 1200 LOOP
		EXIT WHEN (SELECT runs = 0 AND windows = sealed_windows FROM memseries.tables WHERE relation = tab);
		PERFORM pg_sleep(0.05);
	END LOOP;
END $$;
CALL wait_until_sealed('filtered');

-- A column that stored rows do not have, and one that they have as it was given when it was added.
ALTER TABLE filtered ADD COLUMN late float8, ADD COLUMN given float8 DEFAULT 5;
ALTER TABLE filtered_heap ADD COLUMN late float8, ADD COLUMN given float8 DEFAULT 5;

-- How many rows meet a condition, if they are the same rows in both tables.
CREATE FUNCTION rows_where(condition text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
	differ bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM (SELECT ts::text, host, v::text, w::text, mostly_null, late, given FROM filtered_heap WHERE %s OFFSET 0) h', condition)
		INTO n;
	EXECUTE format('WITH m AS MATERIALIZED (SELECT ts::text, host, v::text, w::text, mostly_null, late, given FROM filtered WHERE %1$s),
			h AS MATERIALIZED (SELECT ts::text, host, v::text, w::text, mostly_null, late, given FROM filtered_heap WHERE %1$s)
		SELECT count(*) FROM ((TABLE m EXCEPT ALL TABLE h) UNION ALL (TABLE h EXCEPT ALL TABLE m)) d', condition)
		INTO differ;
	IF differ > 0 THEN
		RAISE WARNING '%: % rows differ', condition, differ;
	END IF;
	RETURN n;
END $$;

CREATE VIEW conditions AS SELECT * FROM (VALUES
	(1, 'v > 50'), (2, 'v >= 143'), (3, 'v < 0'), (4, 'v <= 0'), (5, 'v = 0'), (6, 'v <> 0'), (7, 'v > 1e9'), (8, '70 > v'),
	(9, 'v = ''NaN'''), (10, 'v <> ''NaN'''), (11, 'v > ''Infinity'''), (12, 'v < ''NaN'''), (13, 'v = ''-Infinity'''),
	(14, 'v BETWEEN 20 AND 31'), (15, 'w = 0.7::real'), (16, 'w > 9.5'), (17, 'w IS NULL'), (18, 'w IS NOT NULL AND v < 3'),
	(19, 'mostly_null > 0'), (20, 'mostly_null IS NOT NULL'), (21, 'mostly_null IS NULL AND v > 100'), (22, 'late IS NULL'),
	(23, 'late > 0'), (24, 'given = 5'), (25, 'given < 5'), (26, 'given = 5 AND v > 130'), (27, 'v > NULL'),
	(28, 'v > 20 AND v + w > 100'), (29, 'v > 20 OR w > 9'), (30, 'v > 20 AND host = ''h2'''), (31, 'v > 20 AND ts >= ''2024-03-01 00:20'' AND ts < ''2024-03-01 01:03'''),
	(32, 'v > (SELECT avg(w) * 20 FROM filtered_heap)'), (33, 'v > 100 AND w > (SELECT min(x) FROM generate_series(1, 5) x WHERE x > 2 AND v IS NOT NULL)'),
	(34, 'v > 20 AND v < 10'), (35, 'NOT v > 20'), (36, 'v > 20 AND random() >= 0'),
	(37, 'w > 9 OR mostly_null IS NOT NULL OR v = ''NaN'''), (38, 'v < w'), (39, 'NOT (v > 20 OR w IS NULL)'), (40, 'host = ''h2'' OR v > 100'),
	(41, 'CASE WHEN w > 5 THEN v > 70 ELSE v < 9 END'), (42, 'coalesce(mostly_null, w, 7) > 6.5 AND (late IS NULL OR late > 0)'), (43, 'v > 100 OR v IS NULL OR NULL'),
	(44, 'ts = ''2024-03-01 00:25'''), (45, 'ts BETWEEN ''2024-03-01 00:24:55'' AND ''2024-03-01 00:25:05'''), (46, 'mostly_null BETWEEN 301 AND 302 AND host > ''h1'''),
	(47, 'mostly_null > 309 OR v = ''Infinity'' AND w IS NULL'),
	(48, '(host, ts) > (''h2'', ''2024-03-01 01:50'')'), (49, '(host, ts) <= (''h1'', ''2024-03-01 00:10'')'), (50, '(ts, host) < (''2024-03-01 00:00:10'', ''h2'')'),
	(51, '(ts, v) >= (''2024-03-01 01:59'', 30)'), (52, '(v, ts) > (140, ''2024-03-01 01:59'')'), (53, '(host, ts) > (NULL, ''2024-03-01 01:50'')'),
	(54, 'host = ''h1'' AND v > 100 OR host = ''h2'' AND v < 20'), (55, 'host = ''h1'' AND v > 100 OR host > ''h1'' AND ts < ''2024-03-01 00:02'' OR v > 142'),
	(56, '(host, ts) IN ((''h1'', ''2024-03-01 00:25''), (''h3'', ''2024-03-01 01:25''), (''h9'', ''2024-03-01 01:25''))'),
	(57, 'ts < ''2024-03-01 00:01'' OR ts > ''2024-03-01 01:10'' AND ts <= ''2024-03-01 01:11'' AND v > 80'),
	(58, 'ts > NULL AND v > 0 OR ts >= ''2024-03-01 01:59'' AND w > 0'), (59, 'ts BETWEEN SYMMETRIC ''2024-03-01 01:01'' AND ''2024-03-01 00:59'''),
	(60, 'ts IN (''2024-03-01 01:59'', ''2024-03-01 00:25'', ''2024-03-01 00:25'', ''2024-03-01 00:25:01'', ''2030-01-01'')'), (61, 'ts = ANY (''{2024-03-01 00:25,NULL}'')'),
	(62, 'ts = ANY (''{}'') OR ts = ANY (NULL::timestamptz[]) OR v > 142'), (63, 'host = ''h1'' AND ts IN (''2024-03-01 00:25'', ''2024-03-01 00:20'') OR host = ''h3'' AND (v > 140 OR w IS NULL)'),
	(64, 'NOT (host = ''h1'' AND ts > ''2024-03-01 00:25'' OR v <> 7)'), (65, 'ts <> ALL (''{2024-03-01 00:25,2024-03-01 00:26}'') AND v > 130'),
	(66, 'ts = ANY (ARRAY(SELECT min(ts) FROM filtered_heap)) OR v = 7 AND host IN (''h0'', ''h3'')')) c(i, condition);

SELECT i, condition, rows_where(condition) FROM conditions ORDER BY i;

-- The same without what blocks say of themselves.
SET memseries.enable_summaries = off;
SELECT sum(rows_where(condition)) FROM conditions;
RESET memseries.enable_summaries;

-- Rows just written, written again and deleted, in a transaction and after it.
BEGIN;
INSERT INTO filtered_heap SELECT ts + interval '1 s', host, 1000 - v, w, v, 1, NULL FROM filtered_heap WHERE ts < '2024-03-01 00:10';
INSERT INTO filtered SELECT * FROM filtered_heap WHERE late = 1;
UPDATE filtered_heap SET v = 77 WHERE ts BETWEEN '2024-03-01 01:30' AND '2024-03-01 01:40' AND host > 'h1';
INSERT INTO filtered SELECT * FROM filtered_heap WHERE v = 77;
SELECT sum(rows_where(condition)) FROM conditions;
DELETE FROM filtered_heap WHERE ts >= '2024-03-01 00:05' AND ts < '2024-03-01 00:15' AND host = 'h1';
SELECT memseries.delete_samples('filtered', '2024-03-01 00:05', '2024-03-01 00:15', $$host = 'h1'$$);
SELECT sum(rows_where(condition)) FROM conditions;
COMMIT;
SELECT sum(rows_where(condition)) FROM conditions;
CALL wait_until_sealed('filtered');
SELECT sum(rows_where(condition)) FROM conditions;

-- Pages by the last row seen, lists of rows, lists of times and alternatives tell which series and times they are about.
EXPLAIN (COSTS OFF) SELECT host, ts FROM filtered WHERE (host, ts) > ('h2', '2024-03-01 01:50') ORDER BY host, ts LIMIT 10;
EXPLAIN (COSTS OFF) SELECT * FROM filtered WHERE (ts, host) > ('2024-03-01 01:50', 'h2');
EXPLAIN (COSTS OFF) SELECT * FROM filtered WHERE (host, ts) IN (('h1', '2024-03-01 00:25'), ('h3', '2024-03-01 01:25'));
EXPLAIN (COSTS OFF) SELECT * FROM filtered WHERE host = 'h1' AND v > 1 OR host = 'h2' AND v > 2 OR 'h1' = ANY (regexp_split_to_array(host, 'x'));
CREATE FUNCTION blocks(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
		IF line LIKE '%Blocks:%' THEN
			RETURN trim(line);
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
SELECT blocks('SELECT ' || what || ' FROM filtered WHERE ' || condition), what, condition FROM (VALUES ('*'), ('count(*)')) w(what),
	(VALUES ('ts IN (''2024-03-01 01:59'', ''2024-03-01 00:25'')'), ('(host, ts) IN ((''h1'', ''2024-03-01 00:25''), (''h3'', ''2024-03-01 01:25''))'),
		('host = ''h1'' AND v > 130 OR host = ''h2'' AND ts < ''2024-03-01 00:02''')) c(condition) ORDER BY what, condition;
DROP FUNCTION blocks;
PREPARE page(text, timestamptz) AS SELECT count(*), min(ts) FROM (SELECT * FROM filtered WHERE (ts, host) > ($2, $1) OFFSET 0) x;
SET plan_cache_mode = force_generic_plan;
EXECUTE page('h2', '2024-03-01 01:50');
EXECUTE page(NULL, '2024-03-01 01:50');
EXECUTE page('h2', 'infinity');
PREPARE at(timestamptz[]) AS SELECT count(*), min(ts), max(ts) FROM (SELECT * FROM filtered WHERE ts = ANY ($1) OFFSET 0) x;
EXECUTE at('{2024-03-01 01:25,2024-03-01 00:25,NULL}');
EXECUTE at(NULL);
RESET plan_cache_mode;

-- Constants that change while the query runs: parameters of a prepared statement, and of an inner scan.
PREPARE above(float8) AS SELECT count(*) FROM (SELECT * FROM filtered WHERE v > $1 OFFSET 0) x;
SET plan_cache_mode = force_generic_plan;
EXECUTE above(50);
EXECUTE above(NULL);
EXECUTE above('NaN');
RESET plan_cache_mode;
SELECT l, (SELECT count(*) FROM (SELECT v FROM filtered WHERE v > l AND host = 'h' || i % 4 OFFSET 0) x) AS inner_rows,
		(SELECT count(*) FROM (SELECT v FROM filtered_heap WHERE v > l AND host = 'h' || i % 4 OFFSET 0) x) AS of_heap
	FROM (VALUES (1, 10.0::float8), (2, 140), (3, NULL), (4, 'NaN'), (5, -1)) limits(i, l);

-- Rows removed are counted as if they had been looked at one by one.
CREATE FUNCTION removed(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, FORMAT json, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query INTO answer;
	RETURN answer -> 0 -> 'Plan' ->> 'Rows Removed by Filter';
END $$;
SELECT removed('SELECT * FROM filtered' || w) AS memseries, removed('SELECT * FROM filtered_heap' || w) AS heap
	FROM (VALUES (' WHERE v > 50'), (' WHERE v > 1e9'), (' WHERE v > 50 AND v + w > 100'), (' WHERE late IS NULL')) q(w);
SELECT removed($$SELECT * FROM filtered WHERE v > 1e9 AND ts >= '2024-03-01 00:01' AND ts < '2024-03-01 00:02'$$);

-- A condition that can fail is asked only of rows that the others have left.
SELECT count(*) FROM (SELECT 1 / (v - 31)::int FROM filtered WHERE v > 31 AND host <> 'h1' AND 1 / (v - 31)::int >= 0 OFFSET 0) x;

DROP VIEW conditions;
DROP FUNCTION rows_where, removed;
DROP PROCEDURE wait_until_sealed;
DROP TABLE filtered, filtered_heap;
