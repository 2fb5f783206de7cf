-- What is too old or too far ahead, late samples, expiry.
BEGIN;
SET client_min_messages = warning;
SELECT plan(34);

CREATE TABLE t (ts timestamptz NOT NULL, host text, v float8) USING memseries;
CREATE FUNCTION ins(at timestamptz, val float8 DEFAULT 0, h text DEFAULT 'a') RETURNS void LANGUAGE sql
	AS 'INSERT INTO t VALUES (at, h, val)';

-- By default eight windows of four hours: 28 to 32 hours back, four hours ahead.
SELECT lives_ok($$SELECT ins(now())$$, 'now is accepted');
SELECT lives_ok($$SELECT ins(now() - interval '28 hours')$$, 'what is within retention is accepted late');
SELECT lives_ok($$SELECT ins(now() + interval '3 hours 59 min')$$, 'and ahead of the clock by less than a window');
SELECT throws_ok($$SELECT ins(now() - interval '32 hours 1 min')$$, '22008', NULL, 'older than retention is an error');
SELECT throws_like($$SELECT ins(now() - interval '10 years')$$, '%is out of range for memseries table "t"', 'which names the table');
SELECT throws_ok($$SELECT ins(now() + interval '4 hours 1 min')$$, '22008', NULL, 'too far ahead is an error');
SELECT throws_ok($$SELECT ins('infinity')$$, '22008', NULL, 'infinity is no time of a sample');
SELECT throws_ok($$SELECT ins('-infinity')$$, '22008', NULL, '... nor is -infinity');
SELECT throws_ok($$INSERT INTO t VALUES (NULL, 'a', 1)$$, '23502', NULL, '... nor NULL');
SELECT is((SELECT count(*) FROM t)::int, 3, 'a refused sample is not there, those before it are');
SELECT throws_ok($$INSERT INTO t SELECT now() - i * interval '1 hour', 'b', i FROM generate_series(0, 100) i$$, '22008', NULL,
	'one bad sample refuses the statement');
SELECT is((SELECT count(*) FROM t WHERE host = 'b')::int, 0, '... all of it');

-- Skipping.
CREATE TABLE s (ts timestamptz NOT NULL, host text, v float8) USING memseries;
SELECT is((SELECT on_out_of_range FROM memseries.configure('s', on_out_of_range => 'skip')), 'skip', 'a table can be told to skip');
SELECT lives_ok($$INSERT INTO s SELECT now() - i * interval '1 day', 'a', i FROM generate_series(-2, 9) i$$, 'then the statement passes');
SELECT is((SELECT count(*) FROM s)::int, 2, 'with the samples within range');
SELECT is((SELECT skipped_samples FROM memseries.tables WHERE relation = 's'::regclass)::int, 10, 'the others are counted');
SELECT throws_ok($$INSERT INTO s VALUES ('infinity', 'a', 1)$$, '22008', NULL, 'infinity stays an error');

-- Writing again replaces; late samples go where they belong.
CREATE TABLE k (ts timestamptz NOT NULL, host text, v float8) USING memseries;
SELECT is((SELECT retain FROM memseries.configure('k', chunk_interval => '1 hour', retain => NULL)), NULL, 'all windows are kept');
SELECT lives_ok($$INSERT INTO k VALUES ('1970-01-01', 'a', 1), ('2024-05-05 05:05', 'a', 2), ('1999-12-31 23:59:59.999999', 'a', 3)$$, 'any past is accepted, in any order');
SELECT lives_ok($$INSERT INTO k VALUES ('1970-01-01', 'a', 10), ('1970-01-01', 'a', 11), ('1970-01-01', NULL, 12), ('1970-01-01', '', 13)$$, 'and written again');
SELECT results_eq($$SELECT ts AT TIME ZONE 'UTC', host, v FROM k ORDER BY ts, host NULLS LAST$$,
	$$VALUES ('1970-01-01'::timestamp, '', 13::float8), ('1970-01-01', 'a', 11), ('1970-01-01', NULL, 12),
		('1999-12-31 23:59:59.999999', 'a', 3), ('2024-05-05 05:05', 'a', 2)$$,
	'the last one stays; NULL and the empty string are different labels');
SELECT is((SELECT windows FROM memseries.tables WHERE relation = 'k'::regclass), 3, 'each in its window');

-- Windows keep their bounds when the interval changes, new ones take the new length.
SELECT lives_ok($$SELECT memseries.configure('k', chunk_interval => '1 day')$$, 'the interval can be changed');

-- Expiry by hand.
SELECT is(memseries.expire('k', '2024-05-06'), 0, 'a table that keeps all does not expire');
CREATE TABLE e (ts timestamptz NOT NULL, host text, v float8) USING memseries;
SELECT is((SELECT retain FROM memseries.configure('e', chunk_interval => '1 hour', retain => 1000000)), 1000000, 'a hundred years of hours');
INSERT INTO e SELECT '2024-01-01'::timestamptz + i * interval '1 hour', 'h' || i % 3, i FROM generate_series(0, 9) i;
SELECT is(memseries.expire('e', '2024-01-01 12:00'), 0, 'nothing is that old');
SELECT is(memseries.expire('e', '2024-01-01'::timestamptz + 1000003 * interval '1 hour'), 4, 'windows before the horizon go');
SELECT is((SELECT min(ts) FROM e), '2024-01-01'::timestamptz + 4 * interval '1 hour', 'with their samples');
SELECT is((SELECT expired_windows FROM memseries.tables WHERE relation = 'e'::regclass)::int, 4, 'and are counted');
SELECT is(memseries.expire('e', '2024-01-01'::timestamptz + 1000003 * interval '1 hour'), 0, 'once');
SELECT is(memseries.expire('e', '2024-01-01'::timestamptz + 2000000 * interval '1 hour'), 6, 'all of them, at the end');
SELECT is_empty('SELECT * FROM e', 'nothing is left');
SELECT throws_ok($$SELECT memseries.expire('e', 'infinity')$$, '22023', NULL, 'infinity is refused');

SELECT is_empty('SELECT * FROM memseries.check()', 'memory is valid');

SELECT * FROM finish();
ROLLBACK;
