-- Settings: what changes them, when they take effect, that the catalog and the store agree.
--
-- Several transactions, so the order of statements matters.
SET client_min_messages = warning;
SELECT plan(22);

CREATE TABLE t (ts timestamptz NOT NULL, host text, v float8) USING memseries;
INSERT INTO t VALUES (now(), 'a', 1);

SELECT throws_ok($$INSERT INTO t VALUES ('2000-01-01', 'a', 1)$$, '22008', NULL, 'too old at first');
SELECT memseries.configure('t', retain => NULL) \gset
SELECT lives_ok($$INSERT INTO t VALUES ('2000-01-01', 'a', 1)$$, 'in effect once committed');

BEGIN;
SELECT memseries.configure('t', max_series => 1) \gset
SELECT is((SELECT max_series FROM memseries.tables), 1, 'the transaction sees its own change');
ROLLBACK;
SELECT is((SELECT max_series FROM memseries.tables), 1000000, 'a rollback undoes it');
SELECT lives_ok($$INSERT INTO t VALUES ('2000-01-01', 'b', 1)$$, '... also in the store');

BEGIN;
SELECT memseries.configure('t', max_series => 2) \gset
SAVEPOINT s;
SELECT memseries.configure('t', max_series => 1000) \gset
ROLLBACK TO s;
COMMIT;
SELECT is((SELECT max_series FROM memseries.tables), 2, 'what counts is what stands at commit');
SELECT throws_ok($$INSERT INTO t VALUES ('2000-01-01', 'c', 1)$$, '54000', NULL, '... also in the store');

SECURITY LABEL FOR memseries ON TABLE t IS 'retain=all, max_series=3';
SELECT lives_ok($$INSERT INTO t VALUES ('2000-01-01', 'c', 1)$$, 'a label set by hand is a setting');
SECURITY LABEL FOR memseries ON TABLE t IS NULL;
SELECT is((SELECT max_series FROM memseries.tables), 1000000, 'no label are the defaults');
SELECT is((SELECT retain FROM memseries.tables), 8, '... all of them');
SELECT throws_ok($$INSERT INTO t VALUES ('2000-01-01', 'c', 1)$$, '22008', NULL, '... also in the store');

-- A prepared transaction.
BEGIN;
SELECT memseries.configure('t', max_series => 4, retain => NULL) \gset
PREPARE TRANSACTION 'ms_settings';
SELECT is((SELECT max_series FROM memseries.tables), 1000000, 'a prepared change is not seen');
COMMIT PREPARED 'ms_settings';
SELECT is((SELECT max_series FROM memseries.tables), 4, '... until it is committed');
SELECT lives_ok($$INSERT INTO t VALUES ('2000-01-01', 'd', 1)$$, '... and in effect');
SELECT throws_ok($$INSERT INTO t VALUES ('2000-01-01', 'e', 1)$$, '54000', NULL, '... all of it');

-- New storage has the same settings.
TRUNCATE t;
SELECT throws_ok($$INSERT INTO t SELECT '2000-01-01', i, 1 FROM generate_series(1, 5) i$$, '54000', NULL, 'after TRUNCATE');
SELECT lives_ok($$INSERT INTO t SELECT '2000-01-01', i, 1 FROM generate_series(1, 4) i$$, '... what fits is taken');
ALTER TABLE t ADD COLUMN w float8 DEFAULT random();
SELECT throws_ok($$INSERT INTO t SELECT '2000-01-01', i, 1 FROM generate_series(5, 5) i$$, '54000', NULL, 'after a rewrite');
SELECT is((SELECT count(*) FROM t)::int, 4, '... which keeps the rows');

-- The table and its settings in one transaction; a table that is dropped in it.
BEGIN;
CREATE TABLE u (ts timestamptz NOT NULL, v float8) USING memseries;
SELECT memseries.configure('u', retain => NULL) \gset
INSERT INTO u VALUES ('2000-01-01', 1);
COMMIT;
SELECT is((SELECT count(*) FROM u)::int, 1, 'settings hold in the transaction that makes the table');
BEGIN;
SELECT memseries.configure('u', retain => 5) \gset
DROP TABLE u;
COMMIT;
SELECT is((SELECT count(*) FROM memseries.tables)::int, 1, 'a table may go after its settings changed');

-- Looking changes nothing, so it is allowed where writing is not.
BEGIN READ ONLY;
SELECT throws_ok($$SELECT memseries.configure('t', retain => 5)$$, '25006', NULL, 'no change in a read-only transaction');
ROLLBACK;

DROP TABLE t;
SELECT * FROM finish();
