-- The newest row of each series, of each combination of labels, of one series: only what is needed is read, and it is the same.
CREATE EXTENSION IF NOT EXISTS memseries;
SET TimeZone = 'UTC';
SET max_parallel_workers_per_gather = 0;
CREATE TABLE newest (ts timestamptz NOT NULL, host text, dc int, rack varchar(8), v float8, w float4, x float8, y float8) USING memseries;
SELECT (memseries.configure('newest', chunk_interval => '1 hour', retain => NULL)).chunk_interval;
-- Integers that wander, decimals, numbers that are none, and nulls in the end; series that end early, and one of a single row
INSERT INTO newest
SELECT timestamptz '2024-05-01 00:00+00' + i * interval '2 s', 'h' || h, nullif(h % 4, 3), 'r' || h % 3,
	(i * 7 + h) % 13 + i / 100, ((i * 31 + h) % 1000) / 10.0,
	CASE (i + h) % 7 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' WHEN 2 THEN '-inf' WHEN 3 THEN NULL ELSE sqrt(i) END,
	CASE WHEN h % 2 = 0 THEN i / 8.0 END
  FROM generate_series(1, 12) h, generate_series(0, 5000 - h % 5 * 1000) i;
INSERT INTO newest VALUES ('2024-05-01 01:30+00', 'once', NULL, NULL, NULL, 1, 2, 3);
CREATE PROCEDURE wait_until_sealed(tab regclass) LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		EXIT WHEN (SELECT runs = 0 AND windows = sealed_windows FROM memseries.tables WHERE relation = tab);
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END $$;
CALL wait_until_sealed('newest');
ANALYZE newest;

-- The scan's answer, with and without summaries, is PostgreSQL's.
CREATE FUNCTION same(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answers text[];
	answer text;
	kind text;
BEGIN
	FOREACH kind IN ARRAY ARRAY['on, on', 'on, off', 'off, off'] LOOP
		PERFORM set_config('memseries.enable_customscan', split_part(kind, ', ', 1), true);
		PERFORM set_config('memseries.enable_summaries', split_part(kind, ', ', 2), true);
		EXECUTE 'SELECT array_agg(r)::text FROM (' || query || ') r' INTO answer;
		answers := answers || coalesce(answer, 'nothing');
	END LOOP;
	RETURN CASE WHEN answers[1] = answers[3] AND answers[2] = answers[3] THEN 'same'
		ELSE array_to_string(answers, E'\n') END;
END $$;
CREATE FUNCTION counted(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		IF line ~ 'Custom Scan|Order:|Distinct Key|Series:|Chunks:|Blocks:|Summaries:|Samples:' THEN
			RETURN NEXT regexp_replace(line, 'rows=[\d.]+ loops', 'loops');
		END IF;
	END LOOP;
END $$;

-- One row of each combination, in their order: no chunk is opened where its totals tell the last row
SELECT counted('SELECT DISTINCT ON (host) * FROM newest ORDER BY host, ts DESC');
SELECT same('SELECT DISTINCT ON (host) * FROM newest ORDER BY host, ts DESC');
SELECT DISTINCT ON (host) * FROM newest ORDER BY host, ts DESC;
SELECT counted('SELECT DISTINCT ON (dc, rack) dc, v, rack FROM newest ORDER BY rack DESC, dc NULLS FIRST, ts DESC');
SELECT same('SELECT DISTINCT ON (dc, rack) dc, x, rack, ts FROM newest WHERE host <> $$h5$$ AND host <> $$once$$ AND (host, ts) IN
	(SELECT DISTINCT ON (dc, rack) host, ts FROM newest WHERE host <> $$h5$$ ORDER BY rack, dc, ts DESC) ORDER BY rack DESC, dc NULLS FIRST, ts DESC');
SELECT same('SELECT DISTINCT ON (rack) rack, ts FROM newest ORDER BY rack DESC, ts DESC');
SELECT same('SELECT DISTINCT ON (rack) rack, ts FROM newest ORDER BY rack DESC NULLS LAST, ts');
SELECT same('SELECT DISTINCT ON (dc) ts FROM newest ORDER BY dc, ts DESC LIMIT 2');
SELECT same('SELECT DISTINCT ON (host) w, x FROM newest WHERE ts < $$2024-05-01 00:50+00$$ ORDER BY host DESC, ts DESC');
SELECT same('SELECT DISTINCT ON (host) * FROM newest WHERE ts >= $$2024-05-01 01:59+00$$ ORDER BY host, ts DESC');
SELECT same('SELECT DISTINCT ON (host) * FROM newest WHERE ts >= $$2024-05-01 01:59+00$$ ORDER BY host, ts');
-- Conditions on values: from the last row on to others
SELECT counted('SELECT DISTINCT ON (host) * FROM newest WHERE v < 6 ORDER BY host, ts DESC');
SELECT same('SELECT DISTINCT ON (host) * FROM newest WHERE v < 6 ORDER BY host, ts DESC');
SELECT same('SELECT DISTINCT ON (host) * FROM newest WHERE x = $$NaN$$ ORDER BY host, ts DESC');
SELECT same('SELECT DISTINCT ON (host) * FROM newest WHERE v < 0 ORDER BY host, ts DESC');
SELECT same('SELECT DISTINCT ON (dc) v, w, ts FROM newest WHERE rack = $$r1$$ AND y IS NULL ORDER BY dc, ts');
-- Expressions, and what decides besides the time, are sorted above
EXPLAIN (COSTS OFF) SELECT DISTINCT ON (upper(host)) ts FROM newest ORDER BY upper(host), ts DESC;
EXPLAIN (COSTS OFF) SELECT DISTINCT ON (dc) ts FROM newest ORDER BY dc, ts DESC, host;
SELECT same('SELECT DISTINCT ON (dc) * FROM newest ORDER BY dc, ts DESC, host');
-- Again and again, for others each time
SELECT same('SELECT n, l.* FROM generate_series(0, 12) n, LATERAL (SELECT DISTINCT ON (rack) rack, ts, v FROM newest WHERE dc = n % 4 AND ts < timestamptz $$2024-05-01$$ + n * interval $$17 min$$ ORDER BY rack, ts DESC) l');

-- One series, from its end: the row that the totals tell, its block, those before it
SELECT counted('SELECT * FROM newest WHERE host = $$h2$$ ORDER BY ts DESC LIMIT 1');
SELECT counted('SELECT * FROM newest WHERE host = $$h2$$ ORDER BY ts DESC LIMIT 2');
SELECT counted('SELECT * FROM newest WHERE host = $$h2$$ ORDER BY ts LIMIT 1');
SELECT counted('SELECT * FROM newest WHERE host = $$h2$$ AND ts < $$2024-05-01 01:10+00$$ ORDER BY ts DESC LIMIT 1');
SELECT same(format('SELECT * FROM newest WHERE host = %L AND ts < %L ORDER BY ts %s LIMIT %s', 'h' || h,
				   timestamptz '2024-05-01 02:00+00' - h * interval '13 min', CASE WHEN h % 3 > 0 THEN 'DESC' END, n))
  FROM generate_series(1, 12) h, unnest(ARRAY[1, 2, 10, 600, 4000]) n GROUP BY 1;
SELECT same('SELECT * FROM newest WHERE host = $$once$$ ORDER BY ts DESC LIMIT 2');
SELECT same('SELECT n, l.* FROM generate_series(0, 13) n, LATERAL (SELECT * FROM newest WHERE host = $$h$$ || n ORDER BY ts DESC LIMIT n % 3) l');

-- last() and first() by labels, and by buckets
SELECT counted('SELECT host, memseries.last(v, ts), max(ts), memseries.last(x, ts) FROM newest GROUP BY host');
SELECT counted('SELECT host, memseries.first(v, ts), memseries.first(x, ts) FROM newest GROUP BY host');
SELECT same('SELECT host, memseries.last(v, ts), max(ts), memseries.last(w, ts), memseries.last(x, ts), memseries.last(y, ts) FROM newest GROUP BY host ORDER BY host');
SELECT same('SELECT host, memseries.last(x, ts), memseries.last(y, ts) FROM newest WHERE ts < $$2024-05-01 00:59+00$$ GROUP BY host ORDER BY host');
SELECT same('SELECT host, memseries.first(x, ts), memseries.first(v, ts) FROM newest WHERE ts > $$2024-05-01 00:59+00$$ GROUP BY host ORDER BY host');
SELECT same('SELECT dc, memseries.last(w, ts) FROM newest WHERE host IN ($$h1$$, $$h2$$) GROUP BY dc ORDER BY dc');
SELECT same('SELECT host, date_bin($$10 min$$, ts, $$epoch$$) b, memseries.last(x, ts), memseries.first(w, ts), memseries.last(v, ts) FILTER (WHERE w < 50) FROM newest GROUP BY 1, 2 ORDER BY 1, 2');
SELECT same('SELECT host, date_trunc($$day$$, ts) b, memseries.last(x, ts), memseries.first(w, ts) FROM newest GROUP BY 1, 2 ORDER BY 1, 2');

-- A column that chunks do not have
ALTER TABLE newest ADD COLUMN z float8 DEFAULT 7.5, ADD COLUMN k text DEFAULT 'all';
SELECT same('SELECT DISTINCT ON (host) host, v, z, k FROM newest ORDER BY host, ts DESC');
SELECT same('SELECT DISTINCT ON (k) k, ts, z FROM newest ORDER BY k, ts DESC');
SELECT same('SELECT * FROM newest WHERE host = $$h2$$ ORDER BY ts DESC LIMIT 3');
SELECT same('SELECT host, memseries.last(z, ts) FROM newest GROUP BY host ORDER BY host');

-- One series by time, with conditions on values: blocks that these rule out are skipped
SELECT counted('SELECT * FROM newest WHERE host = $$h5$$ AND v < 10 AND w > 50 ORDER BY ts DESC LIMIT 2');
CREATE FUNCTION all_same() RETURNS TABLE (answer text, n bigint) LANGUAGE sql AS $$
	SELECT same('SELECT * FROM newest WHERE host = $q$' || host || '$q$ AND (' || condition || ') ORDER BY ts' || time || ' LIMIT ' || n), count(*)
	  FROM unnest(ARRAY['h3', 'h4']) host, unnest(ARRAY['', ' DESC']) time, unnest(ARRAY[1, 5, 700]) n,
		   unnest(ARRAY['v < 10 AND w > 50', 'v > 40', 'v > 1000', 'x IS NULL', 'x > 5 OR y < 3', 'w + v > 90', 'y > 100 AND ts < $q$2024-05-01 01:11:11+00$q$',
						'v > 30 AND ts > $q$2024-05-01 00:10:10+00$q$']) condition
	 GROUP BY 1 $$;
SELECT * FROM all_same();

-- Rows written and deleted since
BEGIN;
INSERT INTO newest VALUES ('2024-05-01 03:00+00', 'h1', 1, 'r1', -1), ('2024-05-01 02:00+00', 'h2', 2, 'r2', -2);
SELECT memseries.delete_samples('newest', '2024-05-01 01:00+00', '2024-05-01 02:00+00', 'host = $$h3$$');
SELECT same('SELECT DISTINCT ON (host) * FROM newest ORDER BY host, ts DESC');
SELECT same('SELECT DISTINCT ON (dc) dc, ts FROM newest ORDER BY dc, ts DESC');
SELECT * FROM all_same();
DROP FUNCTION all_same;
SELECT same('SELECT * FROM newest WHERE host = $$h3$$ ORDER BY ts DESC LIMIT 1');
SELECT same('SELECT host, memseries.last(v, ts), max(ts) FROM newest GROUP BY host ORDER BY host');
ROLLBACK;
DROP TABLE newest;

-- Many series, whose order a backend remembers from the second time on; of values with several, some of which conditions leave out
CREATE TABLE newest (ts timestamptz NOT NULL, host int, rack text, v float8) USING memseries;
SELECT (memseries.configure('newest', chunk_interval => '1 hour', retain => NULL)).retain;
INSERT INTO newest SELECT timestamptz '2024-05-01 00:00+00' + i * interval '37 s' + h * interval '1 s', h, 'r' || h % 40, (i * h) % 11
  FROM generate_series(1, 300) h, generate_series(0, 100 + h % 30) i;
ANALYZE newest;
EXPLAIN (COSTS OFF) SELECT DISTINCT ON (rack) * FROM newest ORDER BY rack DESC, ts;
SELECT same('SELECT DISTINCT ON (' || label || ') * FROM newest WHERE ' || condition || ' ORDER BY ' || label || direction || ', ts' || time), count(*)
  FROM unnest(ARRAY['host', 'rack']) label, unnest(ARRAY['', ' DESC', ' NULLS FIRST']) direction, unnest(ARRAY['', ' DESC']) time,
	   unnest(ARRAY['true', 'host % 3 = 0', 'host % 40 < 7', 'host > 160 AND host < 180', 'v > 9', 'v < 0', 'v = 3 AND rack < $$r2$$ AND host < 290',
					'ts < $$2024-05-01 00:03+00$$', 'host IN (7, 47, 87, 1000)', 'rack = $$r12$$ AND v > 2']) condition GROUP BY 1;
INSERT INTO newest VALUES ('2024-05-01 01:00+00', NULL, NULL, 1), ('2024-05-01 01:01+00', 301, NULL, 2);
SELECT same('SELECT DISTINCT ON (rack) * FROM newest ORDER BY rack, ts DESC'), same('SELECT DISTINCT ON (rack) * FROM newest ORDER BY rack NULLS FIRST, ts');
SELECT same('SELECT DISTINCT ON (host) * FROM newest ORDER BY host DESC, ts DESC LIMIT 4');

-- Conditions leave one value of what is to be distinct, of one series or several
CALL wait_until_sealed('newest');
SELECT trim(line) FROM counted('SELECT DISTINCT ON (host) * FROM newest WHERE host = 7 ORDER BY host, ts DESC') line WHERE line ~ 'Samples';
SELECT same('SELECT DISTINCT ON (host) * FROM newest WHERE host = ' || host || condition || ' ORDER BY host, ts' || time), count(*)
  FROM unnest(ARRAY[7, 300, 1000]) host, unnest(ARRAY['', ' AND v > 9', ' AND v = 11']) condition, unnest(ARRAY['', ' DESC']) time GROUP BY 1;
SELECT same('SELECT DISTINCT ON (rack) * FROM newest WHERE rack = $$r7$$ ORDER BY rack, ts' || time || ', host')
  FROM unnest(ARRAY['', ' DESC']) time;
SELECT same('SELECT DISTINCT ON (rack, host) * FROM newest WHERE host = 7 ORDER BY host, rack, ts DESC');
DROP TABLE newest;

-- Labels of all kinds of types, lent to rows while more windows of their series are read
CREATE TABLE newest (ts timestamptz NOT NULL, host text, id uuid, span interval, list int8[], tag name, c "char", num numeric, doc jsonb, pad char(7),
	day date, flag boolean, v float8) USING memseries;
SELECT (memseries.configure('newest', chunk_interval => '1 hour', retain => NULL)).retain;
INSERT INTO newest SELECT timestamptz '2024-05-01 00:00+00' + i * interval '15 min', CASE WHEN h = 50 THEN NULL ELSE repeat('h' || h, h % 40 + 1) END,
	md5(h::text)::uuid, h * interval '1 day 3 us', ARRAY[h, NULL, -h], 'tag' || h, chr(65 + h % 26)::"char", h / 7.0, jsonb_build_object('h', h), h::text,
	date '2024-01-01' + h, nullif(h % 3, 2)::boolean, (i * 37 + h) % 11
  FROM generate_series(1, 150) h, generate_series(0, 20 - h % 6) i;
ANALYZE newest;
SELECT same('SELECT DISTINCT ON (host) * FROM newest WHERE ' || condition || ' ORDER BY host, ts' || time)
  FROM unnest(ARRAY['true', 'v > 5', 'v = 1', 'host < $$h3$$ AND v <> 0', 'tag > $$tag3$$']) condition, unnest(ARRAY['', ' DESC']) time;
SELECT same('SELECT * FROM newest ORDER BY host, ts, tag'), same('SELECT * FROM newest ORDER BY tag, ts'), same('SELECT * FROM newest ORDER BY list, ts DESC'),
	same('SELECT * FROM newest WHERE v < 3 ORDER BY ts, span');
DROP TABLE newest;
DROP FUNCTION same, counted;
DROP PROCEDURE wait_until_sealed;
