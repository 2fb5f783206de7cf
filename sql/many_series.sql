-- Going through all series: several short ones are copied at a time, and whatever they are, the rows are those of a heap table.
CREATE EXTENSION IF NOT EXISTS memseries;
CREATE TABLE ms_all (ts timestamptz NOT NULL, name text, rack int, v float8, w float8) USING memseries;
CREATE TABLE ms_heap (LIKE ms_all);
SELECT memseries.configure('ms_all', chunk_interval => '1 hour', retain => NULL) IS NULL AS none;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
CREATE FUNCTION ms_add(rows text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE more (LIKE ms_heap);
	EXECUTE 'INSERT INTO more ' || rows;
	INSERT INTO ms_heap SELECT * FROM more;
	INSERT INTO ms_all SELECT * FROM more;
	DROP TABLE more;
END $$;
CREATE FUNCTION ms_differ(cond text DEFAULT 'true') RETURNS TABLE (many bigint, heap bigint, missing bigint, extra bigint) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT (SELECT count(*) FROM (SELECT * FROM ms_all WHERE %1$s OFFSET 0) x), (SELECT count(*) FROM ms_heap WHERE %1$s),
		(SELECT count(*) FROM (SELECT * FROM ms_heap WHERE %1$s EXCEPT SELECT * FROM ms_all WHERE %1$s) x),
		(SELECT count(*) FROM (SELECT * FROM ms_all WHERE %1$s EXCEPT SELECT * FROM ms_heap WHERE %1$s) x)', cond) INTO many, heap, missing, extra;
	RETURN NEXT;
END $$;
-- short ones with labels of all lengths and none; some that are in later windows only; one too long to be copied at once
SELECT ms_add('SELECT timestamptz ''2024-05-01'' + i * interval ''7 min'', CASE WHEN s % 9 > 0 THEN repeat(''n'', s % 50) || s END, CASE WHEN s % 9 > 0 THEN s % 7 ELSE s END, s + i, CASE WHEN i % 3 > 0 THEN i END
	FROM generate_series(1, 500) s, generate_series(s % 20, s % 31 + s % 20) i');
SELECT ms_add('SELECT timestamptz ''2024-05-01'' + i * interval ''50 ms'', ''long'', 1, (i * 7919::bigint) % 100003, (i * 7919::bigint) % 100003 / 7.0 FROM generate_series(1, 100000) i');
SELECT ms_add('SELECT timestamptz ''2024-05-01 03:00'' + i * interval ''1 min'', ''late'' || s, s, s * i, i FROM generate_series(1, 200) s, generate_series(1, 3) i');
SELECT * FROM ms_differ();
SELECT * FROM ms_differ('ts >= ''2024-05-01 00:30'' AND ts < ''2024-05-01 03:01:30''');
SELECT * FROM ms_differ('v > 100');
SELECT * FROM ms_differ('rack = 3');
-- rows not folded, deletes, and those of a transaction that is rolled back
BEGIN;
SELECT ms_add('SELECT timestamptz ''2024-05-01 00:05'' + i * interval ''1 min'', ''new'' || s, s % 3, s, i FROM generate_series(1, 100) s, generate_series(1, 5) i');
SELECT memseries.delete_samples('ms_all', '2024-05-01 00:10', '2024-05-01 00:40', 'rack = 2') > 0 AS deleted;
DELETE FROM ms_heap WHERE rack = 2 AND ts >= '2024-05-01 00:10' AND ts < '2024-05-01 00:40';
SELECT * FROM ms_differ();
ROLLBACK;
SELECT * FROM ms_differ();
-- some go altogether, and others get their place
SELECT memseries.delete_samples('ms_all', NULL, NULL, 'rack IN (0, 4)') > 0 AS deleted;
DELETE FROM ms_heap WHERE rack IN (0, 4);
SELECT * FROM ms_differ();
SELECT ms_add('SELECT timestamptz ''2024-05-01 02:00'' + i * interval ''1 s'', ''again'' || s, s % 5, s, i FROM generate_series(1, 300) s, generate_series(1, 2) i');
SELECT * FROM ms_differ();
-- time after time, and only a few rows
SELECT g, (SELECT count(*) FROM (SELECT * FROM ms_all WHERE ts < timestamptz '2024-05-01' + g * interval '31 min' OFFSET 0) x) =
	(SELECT count(*) FROM ms_heap WHERE ts < timestamptz '2024-05-01' + g * interval '31 min') AS same FROM generate_series(0, 6) g;
SELECT count(*) FROM (SELECT * FROM ms_all LIMIT 700) x JOIN ms_heap h ON h.ts = x.ts AND h.name IS NOT DISTINCT FROM x.name AND h.rack = x.rack AND h.v = x.v;
-- two scans at a time, which go on after rows came
CREATE FUNCTION ms_two() RETURNS TABLE (one bigint, two bigint, expected bigint) LANGUAGE plpgsql AS $$
DECLARE
	c1 CURSOR FOR SELECT v FROM ms_all;
	c2 CURSOR FOR SELECT v FROM ms_all;
	x float8;
BEGIN
	SELECT count(*), 0, 0 INTO expected, one, two FROM ms_heap;
	OPEN c1;
	OPEN c2;
	LOOP
		FETCH c1 INTO x;
		EXIT WHEN NOT FOUND;
		one := one + 1;
		IF one % 2 = 0 THEN
			FETCH c2 INTO x;
			two := two + 1;
		END IF;
		IF one = 1000 THEN
			PERFORM ms_add('SELECT timestamptz ''2024-05-01 00:00'', ''other'' || s, s, s, s FROM generate_series(1, 100) s');
		END IF;
	END LOOP;
	LOOP
		FETCH c2 INTO x;
		EXIT WHEN NOT FOUND;
		two := two + 1;
	END LOOP;
	RETURN NEXT;
END $$;
SELECT * FROM ms_two();
SELECT * FROM ms_differ();
-- shared by several processes
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT * FROM ms_differ();
DROP FUNCTION ms_add, ms_differ, ms_two;
DROP TABLE ms_all, ms_heap;
