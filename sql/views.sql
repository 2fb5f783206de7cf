-- The views of memseries: what is stored, where memory goes, what the workers do.

SET timezone = 'UTC';
CREATE TABLE cpu (ts timestamptz NOT NULL, host text, tags jsonb, usage float8, temp float4) USING memseries;
SELECT chunk_interval, retain, max_series FROM memseries.configure('cpu', chunk_interval => '1 hour', retain => NULL, max_series => 500);

-- A table that was never written to is there, and empty.
SELECT * FROM memseries.tables \gx
SELECT count(*) FROM memseries.windows;
SELECT count(*) FROM memseries.series;

INSERT INTO cpu
	SELECT '2024-03-01'::timestamptz + i * interval '1 min', 'web' || h, jsonb_build_object('rack', h % 2), i, h
	FROM generate_series(0, 149) i, generate_series(1, 4) h;

-- Samples count from the moment they are written, whether or not they were folded into chunks yet.
SELECT relation, chunk_interval, retain, on_out_of_range, on_full, max_series, series, windows,
		first_window, last_window, samples, skipped_samples, expired_windows,
		in_use_bytes > 0 AS in_use, in_use_bytes = allocated_bytes + gap_bytes AS adds_up, run_samples <= samples AS runs
	FROM memseries.tables \gx
SELECT window_start, window_end, samples, in_use_bytes > 0 AS in_use, gap_bytes = in_use_bytes - allocated_bytes AS adds_up
	FROM memseries.windows ORDER BY 1;
SELECT relation, labels, samples, first_window, last_window FROM memseries.series ORDER BY labels;

-- Labels of every type appear as to_jsonb gives them, NULL and renamed columns too.
ALTER TABLE cpu RENAME COLUMN host TO machine;
ALTER TABLE cpu ADD COLUMN zone int, ADD COLUMN since date DEFAULT '2024-01-01', ADD COLUMN ok bool, ADD COLUMN ports int[];
INSERT INTO cpu VALUES ('2024-03-01', NULL, '[1, "two", null]', 1, 1, 7, '2024-02-29', true, '{80,443}');
SELECT labels FROM memseries.series ORDER BY labels;
SELECT count(*) FROM memseries.get_series('cpu');
SELECT memseries.get_series('pg_class');

-- Several tables, of which each has its own rows.
CREATE TABLE mem (ts timestamptz NOT NULL, used float8) USING memseries;
INSERT INTO mem VALUES (now(), 1), (now() - interval '1 s', 2);
SELECT relation, samples FROM memseries.tables ORDER BY relation::text;
SELECT relation, labels, samples FROM memseries.series WHERE relation = 'mem'::regclass;
BEGIN;
DROP TABLE mem;
SELECT relation FROM memseries.tables;
ROLLBACK;
TRUNCATE mem;
SELECT relation, samples, windows FROM memseries.tables WHERE relation = 'mem'::regclass;
DROP TABLE mem;

-- Samples out of range are counted where they are skipped.
CREATE TABLE recent (ts timestamptz NOT NULL, host text, v float8) USING memseries;
SELECT on_out_of_range FROM memseries.configure('recent', on_out_of_range => 'skip');
INSERT INTO recent VALUES ('2001-01-01', 'a', 1), (now(), 'a', 2), (now() + interval '1 year', 'a', 3);
SELECT v FROM recent;
SELECT samples, skipped_samples FROM memseries.tables WHERE relation = 'recent'::regclass;
DROP TABLE recent;

-- Memory: one row, which adds up; so do the rows of the classes.
SELECT count(*), bool_and(in_use_bytes + free_bytes = limit_bytes) AS limit_ok,
		bool_and(allocated_bytes + gap_bytes = in_use_bytes) AS gap_ok,
		bool_and(limit_bytes = pg_size_bytes(current_setting('memseries.memory'))) AS as_set
	FROM memseries.memory;
SELECT kind, count(*), min(class_bytes), max(class_bytes),
		bool_and(in_use_bytes = allocated_bytes + slack_bytes + free_bytes + tail_bytes + dead_bytes) AS adds_up
	FROM memseries.size_classes GROUP BY kind ORDER BY kind;
SELECT (SELECT sum(in_use_bytes) FROM memseries.size_classes) <= in_use_bytes AS part_of_all FROM memseries.memory;

-- Workers: always two.
SELECT worker, pid IS NOT NULL AS runs, state IS NOT NULL AS has_state, last_error FROM memseries.workers ORDER BY worker;

-- The keeper folds what was written, and seals windows that are over, all by itself.
DO $$
BEGIN
	FOR i IN 1 .. 600 LOOP
		IF NOT EXISTS (SELECT FROM memseries.windows WHERE runs > 0 OR state = 'open') THEN
			RETURN;
		END IF;
		COMMIT;
		PERFORM pg_sleep(0.1);
	END LOOP;
	RAISE 'windows were not folded and sealed';
END $$;
SELECT window_start, state, chunks, samples, runs, chunk_bytes > 0 AS has_bytes FROM memseries.windows ORDER BY 1;
SELECT series, windows, sealed_windows, samples, runs, run_bytes FROM memseries.tables;
SELECT memseries.check();

-- A snapshot on demand leaves nothing unsaved.
SELECT memseries.snapshot();
SELECT bool_and(saved) AS saved FROM memseries.windows;
INSERT INTO cpu (ts, usage) VALUES ('2024-03-01', 5);
SELECT window_start FROM memseries.windows WHERE NOT saved;

DROP TABLE cpu;
SELECT count(*) FROM memseries.tables;
