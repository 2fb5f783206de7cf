-- Settings: what changes them, when they take effect, that the catalog and the store agree.
--
-- Several transactions, some rolled back, in which pgTAP's own count is lost: no finish(), the plan is enough.
SET client_min_messages = warning;
SELECT plan(31);

CREATE TABLE t (ts timestamptz NOT NULL, host text, v float8) USING memseries;
INSERT INTO t VALUES (now(), 'a', 1);

SELECT throws_ok($$INSERT INTO t VALUES ('2000-01-01', 'a', 1)$$, '22008', NULL, 'too old at first');
SELECT memseries.configure('t', retain => NULL) \gset
SELECT lives_ok($$INSERT INTO t VALUES ('2000-01-01', 'a', 1)$$, 'in effect once committed');

BEGIN;
SELECT memseries.configure('t', max_series => 1) \gset
SELECT is((SELECT max_series FROM memseries.tables), 1, 'the transaction sees its own change');
SELECT lives_ok($$INSERT INTO t VALUES (now(), 'b', 1)$$, 'which is not in effect yet');
ROLLBACK;
SELECT is((SELECT max_series FROM memseries.tables), 1000000, 'a rollback undoes it');
SELECT lives_ok($$INSERT INTO t VALUES (now(), 'b', 1)$$, '... also in the store');

BEGIN;
SELECT memseries.configure('t', max_series => 2) \gset
SAVEPOINT s;
SELECT memseries.configure('t', max_series => 1000) \gset
ROLLBACK TO s;
COMMIT;
SELECT is((SELECT max_series FROM memseries.tables), 2, 'what counts is what stands at commit');
SELECT throws_ok($$INSERT INTO t VALUES (now(), 'c', 1)$$, '54000', NULL, '... also in the store');

SECURITY LABEL FOR memseries ON TABLE t IS 'max_series=3';
SELECT lives_ok($$INSERT INTO t VALUES (now(), 'c', 1)$$, 'a label set by hand is a setting');
SELECT throws_ok($$INSERT INTO t VALUES (now(), 'd', 1)$$, '54000', NULL, '... in effect');
SELECT is((SELECT retain FROM memseries.tables), 8, 'what it does not say is as by default');
SELECT throws_ok($$INSERT INTO t VALUES ('2000-01-01', 'a', 1)$$, '22008', NULL, '... in effect');
SECURITY LABEL FOR memseries ON TABLE t IS NULL;
SELECT is((SELECT max_series FROM memseries.tables), 1000000, 'without a label all is');

-- A prepared transaction.
BEGIN;
SELECT memseries.configure('t', max_series => 4) \gset
PREPARE TRANSACTION 'ms_settings';
SELECT is((SELECT max_series FROM memseries.tables), 1000000, 'a prepared change is not seen');
COMMIT PREPARED 'ms_settings';
SELECT is((SELECT max_series FROM memseries.tables), 4, '... until it is committed');
SELECT lives_ok($$INSERT INTO t VALUES (now(), 'd', 1)$$, '... and in effect');
SELECT throws_ok($$INSERT INTO t VALUES (now(), 'e', 1)$$, '54000', NULL, '... all of it');

-- New storage has the same settings.
TRUNCATE t;
SELECT throws_ok($$INSERT INTO t SELECT now(), i, 1 FROM generate_series(1, 5) i$$, '54000', NULL, 'after TRUNCATE');
SELECT lives_ok($$INSERT INTO t SELECT now(), i, 1 FROM generate_series(1, 4) i$$, '... what fits is taken');
ALTER TABLE t ADD COLUMN w float8 DEFAULT random();
SELECT throws_ok($$INSERT INTO t VALUES (now(), 5, 1)$$, '54000', NULL, 'after a rewrite');
SELECT is((SELECT count(*) FROM t)::int, 4, '... which keeps the rows');

-- In storage that the transaction itself made they are in effect at once.
BEGIN;
CREATE TABLE u (ts timestamptz NOT NULL, host text, v float8) USING memseries;
SELECT memseries.configure('u', retain => NULL) \gset
SELECT lives_ok($$INSERT INTO u VALUES ('2000-01-01', 'a', 1)$$, 'in the transaction that makes the table');
SAVEPOINT s;
SECURITY LABEL FOR memseries ON TABLE u IS 'max_series=1';
SELECT throws_ok($$INSERT INTO u VALUES (now(), 'b', 1)$$, '54000', NULL, '... also by label');
ROLLBACK TO s;
SELECT lives_ok($$INSERT INTO u VALUES ('2000-01-01', 'b', 1)$$, '... and back to those before');
COMMIT;
SELECT is((SELECT count(*) FROM u)::int, 2, '... which stay');
BEGIN;
TRUNCATE u;
SELECT memseries.configure('u', max_series => 1) \gset
SELECT throws_ok($$INSERT INTO u VALUES (now(), 'a', 1), (now(), 'b', 1)$$, '54000', NULL, 'in the transaction that empties the table');
ROLLBACK;
SELECT is((SELECT count(*) FROM u)::int, 2, '... which is as before if that is rolled back');
SELECT lives_ok($$INSERT INTO u VALUES (now(), 'c', 1)$$, '... with the settings it had');
BEGIN;
SELECT memseries.configure('u', retain => 5) \gset
DROP TABLE u;
COMMIT;
SELECT is((SELECT count(*) FROM memseries.tables)::int, 1, 'a table may go after its settings changed');

-- Looking changes nothing, so it is allowed where writing is not.
BEGIN READ ONLY;
SELECT throws_ok($$SELECT memseries.configure('t', retain => 5)$$, '25006', NULL, 'no change in a read-only transaction');
SELECT is((SELECT max_series FROM memseries.configure('t')), 4, 'but a look');
ROLLBACK;

DROP TABLE t;
