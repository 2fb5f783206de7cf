-- Series, memory, time: what happens at the limits.
--
-- Not in one transaction: settings take effect when they are committed, and memory that an aborted transaction
-- filled has to come back.
SET client_min_messages = warning;
SELECT plan(31);

CREATE TABLE t (ts timestamptz NOT NULL, id int, v float8) USING memseries;
SELECT is((SELECT max_series FROM memseries.configure('t', retain => NULL, max_series => 10)), 10, 'ten series');
SELECT lives_ok($$INSERT INTO t SELECT '2024-01-01', i, i FROM generate_series(1, 10) i$$, 'ten fit');
SELECT throws_ok($$INSERT INTO t VALUES ('2024-01-01', 11, 11)$$, '54000', 'too many series in table "t"', 'an eleventh does not');
SELECT lives_ok($$INSERT INTO t SELECT '2024-01-02', i, i FROM generate_series(1, 10) i$$, 'those that are there go on');
SELECT throws_ok($$INSERT INTO t SELECT '2024-01-03', i, i FROM generate_series(5, 15) i$$, '54000', NULL, 'a statement is refused whole');
SELECT is((SELECT count(*) FROM t)::int, 20, 'and leaves nothing');
SELECT lives_ok($$SELECT memseries.configure('t', max_series => 12)$$, 'more are allowed');
SELECT lives_ok($$INSERT INTO t VALUES ('2024-01-01', 11, 11)$$, 'at once');
SELECT lives_ok($$SELECT memseries.configure('t', max_series => 3)$$, 'fewer are allowed, too');
SELECT lives_ok($$INSERT INTO t VALUES ('2024-01-05', 11, 11)$$, 'and stop only new ones');
SELECT throws_ok($$INSERT INTO t VALUES ('2024-01-05', 12, 11)$$, '54000', NULL, '...');

-- Memory: 256 MB in all.  Noise does not compress.
CREATE TABLE noise (ts timestamptz NOT NULL, id int, v1 float8, v2 float8, v3 float8, v4 float8,
	v5 float8, v6 float8, v7 float8, v8 float8) USING memseries;
SELECT lives_ok($$SELECT memseries.configure('noise', chunk_interval => '1 hour', retain => NULL)$$, 'a table for noise');
CREATE FUNCTION fill(days int, first_day int DEFAULT 0) RETURNS void LANGUAGE sql SET synchronize_seqscans = off
BEGIN ATOMIC
	INSERT INTO noise
		SELECT '2020-01-01'::timestamptz + first_day * interval '1 day' + s * interval '1 s', s % 10,
				random(), random(), random(), random(), random(), random(), random(), random()
		FROM generate_series(1, days * 86400) s;
END;
SELECT throws_ok('SELECT fill(100)', '53200', 'memseries memory is full', 'more than fits is an error');
SELECT is((SELECT count(*) FROM noise)::int, 0, 'that leaves nothing');
SELECT lives_ok('SELECT fill(10)', 'what fits is taken');
SELECT is((SELECT count(*) FROM noise)::int, 864000, 'all of it');
SELECT throws_ok('SELECT fill(100, 10)', '53200', 'memseries memory is full', 'the rest does not');
SELECT is((SELECT count(*) FROM noise)::int, 864000, 'what was there is there');
SELECT lives_ok($$INSERT INTO t VALUES ('2024-01-06', 1, 1)$$, 'other tables go on');

SELECT is((SELECT on_full FROM memseries.configure('noise', on_full => 'expire')), 'expire', 'now the oldest may go');
SELECT lives_ok('SELECT fill(10, 10)', 'then there is room for more');
SELECT lives_ok('SELECT fill(10, 20)', 'and more');
SELECT ok((SELECT count(*) FROM noise) BETWEEN 864000 AND 2 * 864000, 'what fits stays');
SELECT is((SELECT max(ts) FROM noise), '2020-01-31'::timestamptz, 'the newest');
SELECT ok((SELECT expired_windows FROM memseries.tables WHERE relation = 'noise'::regclass) > 0, 'windows that went are counted');

-- Long loops can be interrupted.
SET statement_timeout = '300ms';
SELECT throws_ok('SELECT fill(1000, -1000)', '57014', NULL, 'filling can be interrupted');
RESET statement_timeout;
SET statement_timeout = '20ms';
SELECT throws_ok('SELECT sum(v1 + v2 + v3 + v4 + v5 + v6 + v7 + v8) FROM noise', '57014', NULL, 'reading can');
SELECT throws_ok(format('SELECT memseries.dump_table(%L, %L)', 'noise', current_setting('data_directory') || '/noise.dump'),
	'57014', NULL, 'dumping can');
RESET statement_timeout;
SELECT throws_ok(format('SELECT memseries.load_table(%L, %L)', 'noise', current_setting('data_directory') || '/noise.dump'),
	'58P01', NULL, 'and leaves no file');
SELECT is((SELECT count(*) FROM pg_ls_dir('.') f WHERE f LIKE 'noise%')::int, 0, '... nor a temporary one');

DROP TABLE t, noise;
SELECT is_empty('SELECT * FROM memseries.check()', 'memory is valid');
SELECT * FROM finish();
