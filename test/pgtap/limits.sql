-- Series, memory, time: what happens at the limits.
--
-- Not in one transaction: settings take effect when they are committed, and memory that an aborted transaction
-- filled has to come back.
SET client_min_messages = warning;
SELECT plan(38);

CREATE TABLE t (ts timestamptz NOT NULL, id int, v float8) USING memseries;
SELECT is((SELECT max_series FROM memseries.configure('t', retain => NULL, max_series => 10)), 10, 'ten series');
SELECT lives_ok($$INSERT INTO t SELECT '2024-01-01', i, i FROM generate_series(1, 10) i$$, 'ten fit');
SELECT throws_ok($$INSERT INTO t VALUES ('2024-01-01', 11, 11)$$, '54000', 'too many series in table "t"', 'an eleventh does not');
SELECT lives_ok($$INSERT INTO t SELECT '2024-01-02', i, i FROM generate_series(1, 10) i$$, 'those that are there go on');
SELECT throws_ok($$INSERT INTO t SELECT '2024-01-03', i, i FROM generate_series(5, 15) i$$, '54000', NULL, 'a statement is refused whole');
SELECT is((SELECT count(*) FROM t)::int, 20, 'and leaves nothing');
SELECT lives_ok($$SELECT memseries.configure('t', max_series => 12)$$, 'more are allowed');
SELECT lives_ok($$INSERT INTO t VALUES ('2024-01-01', 11, 11)$$, 'at once');
SELECT throws_ok($$INSERT INTO t VALUES ('2024-01-01', 12, 12), ('2024-01-01', 13, 13)$$, '54000', NULL, 'two more are too many');
SELECT is((SELECT series FROM memseries.tables WHERE relation = 't'::regclass)::int, 11, '... of which none counts');
SELECT lives_ok($$SELECT memseries.configure('t', max_series => 3)$$, 'fewer are allowed, too');
SELECT lives_ok($$INSERT INTO t VALUES ('2024-01-05', 11, 11)$$, 'and stop only new ones');
SELECT throws_ok($$INSERT INTO t VALUES ('2024-01-05', 12, 11)$$, '54000', NULL, '...');

-- Memory: 256 MB in all, most of which goes to long labels.  In the rest, noise, which does not compress: a unit of it
-- takes 2 MB.
CREATE TABLE filler (ts timestamptz NOT NULL, label text, v float8) USING memseries;
INSERT INTO filler SELECT now(), repeat(md5(i::text), 2000), i FROM generate_series(1, 2800) i;
SELECT throws_ok($$INSERT INTO filler SELECT now(), repeat(md5(i::text), 2000), i FROM generate_series(2801, 5000) i$$,
	'53200', 'memseries memory is full', 'labels take memory');
SELECT is((SELECT count(DISTINCT label) FROM filler)::int, 2800, 'what was there is there');

-- What an aborted transaction left is cleared away soon.
CREATE PROCEDURE wait_until(question text) LANGUAGE plpgsql AS $$
DECLARE
	answer boolean;
BEGIN
	FOR i IN 1 .. 1800 LOOP
		EXECUTE question INTO answer;
		IF answer THEN
			RETURN;
		END IF;
		COMMIT;
		PERFORM pg_sleep(0.1);
	END LOOP;
	RAISE 'it does not become true: %; memory: %', question, (SELECT m FROM memseries.memory m);
END $$;
CALL wait_until('SELECT free_bytes > 60000000 FROM memseries.memory');
CALL wait_until($$SELECT series <= 2800 FROM memseries.tables WHERE relation = 'filler'::regclass$$);
SELECT is((SELECT series FROM memseries.tables WHERE relation = 'filler'::regclass)::int, 2800, 'its series are gone');


DO $$
BEGIN
	EXECUTE 'CREATE TABLE noise (ts timestamptz NOT NULL, id int, '
		|| (SELECT string_agg('v' || i || ' float8', ', ') FROM generate_series(1, 30) i) || ') USING memseries';
	EXECUTE 'CREATE FUNCTION fill(units int, first_unit int DEFAULT 0) RETURNS void LANGUAGE sql AS $f$
		INSERT INTO noise SELECT ''2020-01-01''::timestamptz + (s + first_unit * 10000) * interval ''1 s'', s % 10, '
		|| (SELECT string_agg('r * ' || sqrt(i), ', ') FROM generate_series(1, 30) i)
		|| ' FROM (SELECT s, random() AS r FROM generate_series(0, units * 10000 - 1) s) AS x $f$';
END $$;
SELECT lives_ok($$SELECT memseries.configure('noise', chunk_interval => '1 hour', retain => NULL)$$, 'a table for noise');
SELECT throws_ok('SELECT fill(60)', '53200', 'memseries memory is full', 'more than fits is an error');
SELECT is((SELECT count(*) FROM noise)::int, 0, 'that leaves nothing');
SELECT lives_ok('SELECT fill(15)', 'what fits is taken');
SELECT is((SELECT count(*) FROM noise)::int, 150000, 'all of it');
SELECT throws_ok('SELECT fill(60, 15)', '53200', 'memseries memory is full', 'the rest does not');
SELECT is((SELECT count(*) FROM noise)::int, 150000, 'what was there is there');
SELECT lives_ok($$INSERT INTO t VALUES ('2024-01-06', 1, 1)$$, 'other tables go on');

SELECT is((SELECT on_full FROM memseries.configure('noise', on_full => 'expire')), 'expire', 'now the oldest may go');
SELECT lives_ok('SELECT fill(15, 15)', 'then there is room for more');
SELECT lives_ok('SELECT fill(15, 30)', 'and more');
SELECT ok((SELECT count(*) FROM noise) BETWEEN 150000 AND 449999, 'what fits stays');
SELECT is((SELECT max(ts) FROM noise), '2020-01-01'::timestamptz + 449999 * interval '1 s', 'the newest');
SELECT ok((SELECT expired_windows FROM memseries.tables WHERE relation = 'noise'::regclass) > 0, 'windows that went are counted');

-- Long loops can be interrupted.  No function can catch that for us.  The setting goes with the error, so that it holds for
-- nothing else.
SELECT current_setting('data_directory') || '/noise.dump' AS file \gset
SELECT memseries.dump_table('noise', :'file') \gset
CREATE FUNCTION slow(int) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM pg_sleep(0.1); RETURN true; END';
\set ON_ERROR_STOP off
SET statement_timeout = '300ms' \; SELECT fill(1000, 1000);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'filling can be interrupted');
\set LAST_ERROR_SQLSTATE none
SELECT string_agg(format('sum((v1 + v2 + v3 + v4 + v5 + v6 + v7 + v8) * %s)', k), ', ') AS sums FROM generate_series(2, 60) k \gset
SET statement_timeout = '10ms' \; SELECT :sums FROM noise;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'reading can');
\set LAST_ERROR_SQLSTATE none
SET statement_timeout = '10ms' \; SELECT memseries.dump_table('noise', :'file' || '2');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'dumping can');
\set LAST_ERROR_SQLSTATE none
SET statement_timeout = '10ms' \; SELECT memseries.load_table('noise', :'file');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'loading can');
\set LAST_ERROR_SQLSTATE none
SET statement_timeout = '10ms' \; SELECT memseries.delete_samples('t', NULL, NULL, 'slow(id)');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'deleting can');
\set ON_ERROR_STOP on
SELECT is((SELECT count(*) FROM pg_ls_dir('.') f WHERE f LIKE 'noise%')::int, 1, 'an unfinished dump leaves no file');
SELECT is((SELECT count(*) FROM t)::int, 23, 'an unfinished delete deletes nothing');

DROP TABLE t, noise, filler;
SELECT is_empty('SELECT * FROM memseries.check()', 'memory is valid');
SELECT * FROM finish();
