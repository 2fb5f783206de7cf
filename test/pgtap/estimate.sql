-- Sizing: memseries.estimate, beside what is measured.  (bench/memory does so with recorded data.)
SET client_min_messages = warning;
SELECT plan(14);

-- Small-integer metrics that wander, as generated data of benchmarks do: 10 values every 10 s for four hours.
CREATE UNLOGGED TABLE cpu (ts timestamptz NOT NULL, host text, region text,
	v0 float8, v1 float8, v2 float8, v3 float8, v4 float8, v5 float8, v6 float8, v7 float8, v8 float8, v9 float8) USING memseries;
SELECT memseries.configure('cpu', retain => NULL);
SELECT setseed(0.5);
INSERT INTO cpu
	SELECT '2024-03-01'::timestamptz + i * interval '10 s', 'host ' || h, 'region ' || h % 9,
		v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10]
	FROM generate_series(1, 150) h, generate_series(0, 1439) i,
		LATERAL (SELECT array_agg(50 + round(20 * sin(h + c + i / 40.0) + 1.2 * random())) AS v FROM generate_series(1, 10 + 0 * i) c) walk;
DO $$
BEGIN
	FOR i IN 1 .. 1200 LOOP
		IF NOT EXISTS (SELECT FROM memseries.windows WHERE runs > 0 OR state = 'open') THEN
			RETURN;
		END IF;
		COMMIT;
		PERFORM pg_sleep(0.1);
	END LOOP;
	RAISE 'windows were not folded and sealed';
END $$;
SELECT cmp_ok(abs(memseries.estimate(150, '10 s', 10, 1, bytes_per_value => values_bytes::float8 / samples / 10)
	/ in_use_bytes::float8 - 1), '<', 0.15::float8, 'with the bytes of a value known')
	FROM memseries.tables WHERE relation = 'cpu'::regclass;
SELECT diag(format('estimate %s, with the bytes of a value known %s, in use %s', memseries.estimate(150, '10 s', 10, 1),
	memseries.estimate(150, '10 s', 10, 1, bytes_per_value => values_bytes::float8 / samples / 10), in_use_bytes))
	FROM memseries.tables WHERE relation = 'cpu'::regclass;

SELECT cmp_ok(memseries.estimate(2000, '15 s'), '>', memseries.estimate(1000, '15 s'), 'more series, more memory');
SELECT cmp_ok(memseries.estimate(1000, '1 s'), '>', memseries.estimate(1000, '15 s'), 'more samples, more memory');
SELECT cmp_ok(memseries.estimate(1000, '15 s', 10), '>', 5 * memseries.estimate(1000, '15 s', 1), 'more values, more memory');
SELECT cmp_ok(memseries.estimate(1000, '15 s', 1, 16), '>', memseries.estimate(1000, '15 s', 1, 8), 'more windows, more memory');
SELECT is(memseries.estimate(NULL, '15 s'), NULL, 'NULL is not known');
SELECT throws_ok($$SELECT memseries.estimate(0, '15 s')$$, '22023', 'series must be greater than zero', 'no series');
SELECT throws_ok($$SELECT memseries.estimate(1, '0 s')$$, '22023', NULL, 'no interval');
SELECT throws_ok($$SELECT memseries.estimate(1, '1 month')$$, '22023', NULL, 'a month has no length');
SELECT throws_ok($$SELECT memseries.estimate(1, '1 s', -1)$$, '22023', NULL, 'negative values');
SELECT throws_ok($$SELECT memseries.estimate(1, '1 s', 1, 0)$$, '22023', NULL, 'no windows');
SELECT throws_ok($$SELECT memseries.estimate(1, '1 s', bytes_per_value => -1)$$, '22023', NULL, 'negative bytes');
SELECT throws_ok($$SELECT memseries.estimate(1, '1 s', bytes_per_value => 'NaN')$$, '22023', NULL, 'NaN bytes');
SELECT throws_ok($$SELECT memseries.estimate(9223372036854775807, '1 us', 1600, 2147483647)$$, '22003', NULL, 'too much to count');

DROP TABLE cpu;
SELECT * FROM finish();
