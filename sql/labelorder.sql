-- Rows in the order of labels, and then of the time, are in the places they have in a heap table.
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET max_parallel_workers_per_gather = 0;

-- Two series of each host, but one of h0; of many types, some NULL.
CREATE TABLE by_label (ts timestamptz NOT NULL, host text COLLATE "C", rack int, dc varchar(10), tags jsonb, v float8, w real) USING memseries;
SELECT FROM memseries.configure('by_label', chunk_interval => '1 hour', retain => NULL);
CREATE TABLE by_label_heap (LIKE by_label);
INSERT INTO by_label_heap
	SELECT '2024-03-01'::timestamptz + i * interval '10 s' + s * interval '1 s', NULLIF('h' || s / 2, 'h4'), s % 5,
		CASE WHEN s <> 7 THEN 'dc' || s % 3 END, jsonb_build_object('s', s % 4), i + s, CASE WHEN i % 11 > 0 THEN i % 17 END
	FROM generate_series(0, 899) i, generate_series(1, 12) s;
INSERT INTO by_label SELECT * FROM by_label_heap;
ANALYZE by_label;

-- Which rows are in which place of that order, in two tables.
CREATE FUNCTION places_differ(condition text, ordering text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	differ bigint;
BEGIN
	EXECUTE format('WITH m AS MATERIALIZED (SELECT row_number() OVER () AS place, * FROM (SELECT * FROM by_label WHERE %1$s ORDER BY %2$s) x),
			h AS MATERIALIZED (SELECT row_number() OVER () AS place, * FROM (SELECT * FROM by_label_heap WHERE %1$s ORDER BY %2$s) x)
		SELECT count(*) FROM ((TABLE m EXCEPT ALL TABLE h) UNION ALL (TABLE h EXCEPT ALL TABLE m)) d', condition, ordering)
		INTO differ;
	RETURN differ;
END $$;
CREATE VIEW orderings AS
	SELECT condition, ordering FROM (VALUES ('true'), ('v > 880'), ('rack IN (1, 3) AND w IS NULL'), ('host = ''h2'''), ('host = ''none'''),
			('ts >= ''2024-03-01 00:59:50'' AND ts < ''2024-03-01 01:00:20'''), ('v > 100 AND v + w > 500')) c(condition),
		(VALUES ('host, ts'), ('host, ts DESC'), ('host DESC, rack, ts'), ('rack DESC, dc, ts DESC'), ('dc, ts'), ('dc DESC, tags, ts'),
			('tags, dc DESC, host, rack, ts DESC'), ('host, v, ts'), ('host, rack, w, ts'),
			('host DESC NULLS LAST, ts'), ('dc NULLS FIRST, host COLLATE "POSIX" DESC, rack, ts')) o(ordering);
SELECT ordering, sum(places_differ(condition, ordering)) FROM orderings GROUP BY ordering ORDER BY ordering;

-- Rows just written, written again and deleted take part.
BEGIN;
INSERT INTO by_label_heap VALUES ('2024-03-01 05:00', 'h2', 4, 'dc1', '{"s": 0}', -1, 5), ('2023-03-01', 'a new one', NULL, NULL, NULL, -2, NULL);
INSERT INTO by_label SELECT * FROM by_label_heap WHERE v < 0;
UPDATE by_label_heap SET v = 0.5 WHERE ts < '2024-03-01 00:01' AND host > 'h3';
INSERT INTO by_label SELECT * FROM by_label_heap WHERE v = 0.5;
SELECT sum(places_differ(condition, ordering)) FROM orderings;
DELETE FROM by_label_heap WHERE host = 'h3' OR ts BETWEEN '2024-03-01 00:30' AND '2024-03-01 00:59:59.999999';
SELECT memseries.delete_samples('by_label', NULL, NULL, $$host = 'h3'$$) > 0, memseries.delete_samples('by_label', '2024-03-01 00:30', '2024-03-01 01:00') > 0;
SELECT sum(places_differ(condition, ordering)) FROM orderings;
COMMIT;
SELECT sum(places_differ(condition, ordering)) FROM orderings;

-- Again and again, and a part only.
SELECT r, (SELECT count(*) FROM (SELECT * FROM by_label WHERE rack <= r ORDER BY host, ts OFFSET 1) x) AS n,
		(SELECT string_agg(v::text, ' ') FROM (SELECT v FROM by_label WHERE rack <= r ORDER BY host DESC, ts DESC LIMIT 3) x) AS last
	FROM generate_series(-1, 3) r;
SELECT max(host), min(dc) FROM by_label;
BEGIN;
DECLARE c CURSOR FOR SELECT ts, host, rack, v FROM by_label WHERE host IN ('h0', 'h1') ORDER BY host, ts;
FETCH 2 FROM c;
MOVE 240 FROM c;
FETCH 3 FROM c;
ROLLBACK;

-- A table without rows, and one that was emptied.
TRUNCATE by_label;
SELECT * FROM by_label ORDER BY host, ts;

DROP VIEW orderings;
DROP FUNCTION places_differ;
DROP TABLE by_label, by_label_heap;
