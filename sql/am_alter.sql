-- ALTER TABLE, TRUNCATE, VACUUM and ANALYZE on memseries tables.

SET timezone = 'UTC';
CREATE TABLE model AS
	SELECT '2024-01-01'::timestamptz + i * interval '10 s' AS ts, 'web' || i % 3 AS host, i % 2 AS core,
		CASE WHEN i % 11 > 0 THEN i / 10.0 END::float8 AS usage, (i % 5)::real AS temp
	FROM generate_series(0, 2999) i;
CREATE TABLE cpu (LIKE model) USING memseries;
SELECT FROM memseries.configure('cpu', retain => NULL, chunk_interval => '1 hour');

-- What the two differ in, which should be nothing.
CREATE VIEW difference AS (TABLE model EXCEPT ALL TABLE cpu) UNION ALL (TABLE cpu EXCEPT ALL TABLE model);

INSERT INTO cpu TABLE model;
TABLE difference;

-- TRUNCATE is transactional, and cheap where nobody else has seen the table.
BEGIN;
TRUNCATE cpu;
SELECT count(*) FROM cpu;
INSERT INTO cpu SELECT * FROM model LIMIT 5;
SELECT count(*) FROM cpu;
TRUNCATE cpu;
SAVEPOINT s;
INSERT INTO cpu SELECT * FROM model LIMIT 6;
TRUNCATE cpu;
INSERT INTO cpu SELECT * FROM model LIMIT 7;
ROLLBACK TO s;
SELECT count(*) FROM cpu;
ROLLBACK;
TABLE difference;
TRUNCATE cpu;
INSERT INTO cpu TABLE model;
TABLE difference;

-- Rewrites: VACUUM FULL, logged and unlogged, to heap and back.
VACUUM FULL cpu;
TABLE difference;
ALTER TABLE cpu SET UNLOGGED;
TABLE difference;
ALTER TABLE cpu SET LOGGED;
TABLE difference;
ALTER TABLE cpu SET ACCESS METHOD heap;
SELECT amname FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE c.oid = 'cpu'::regclass;
TABLE difference;
CREATE INDEX cpu_idx ON cpu (ts);
ALTER TABLE cpu SET ACCESS METHOD memseries;
DROP INDEX cpu_idx;
ALTER TABLE cpu SET ACCESS METHOD memseries;
TABLE difference;
-- Settings stayed with the table all the time, so its old samples may come in.
SELECT * FROM memseries.configure('cpu');
CREATE TABLE plain AS TABLE model;
\set VERBOSITY terse
DO $$
BEGIN
	ALTER TABLE plain SET ACCESS METHOD memseries;
EXCEPTION WHEN datetime_field_overflow THEN
	RAISE NOTICE '%', sqlerrm;
END $$;
\set VERBOSITY default
SECURITY LABEL FOR memseries ON TABLE plain IS 'retain=all';
ALTER TABLE plain SET ACCESS METHOD memseries;
SELECT count(*) FROM plain;
-- What a table already holds survives a rewrite, even if it could not be written now.
BEGIN;
SELECT FROM memseries.configure('plain', retain => 1);
ALTER TABLE plain ALTER core TYPE bigint;
SELECT count(*) FROM plain;
ROLLBACK;
DROP TABLE plain;

-- Columns that are added read as their default in older rows.
DROP VIEW difference;
ALTER TABLE cpu ADD COLUMN power float8 DEFAULT 7, ADD COLUMN rack text DEFAULT 'r1', ADD COLUMN slot int, ADD COLUMN volt real;
SELECT DISTINCT power, rack, slot, volt FROM cpu;
-- A series that does not mention them stays itself: writing a sample again replaces it.
INSERT INTO cpu (ts, host, core, usage, rack) VALUES ('2024-01-01', 'web0', 0, -1, 'r1');
INSERT INTO cpu VALUES ('2024-01-01 00:01', 'web0', 0, -2, 1, NULL, 'r1', NULL, 3.5);
SELECT * FROM cpu WHERE ts < '2024-01-01 00:01:10' AND host = 'web0' ORDER BY ts, core;
SELECT count(*) FROM cpu;
SELECT count(*) FROM memseries.series WHERE relation = 'cpu'::regclass;
INSERT INTO cpu (ts, host, core, usage, rack) VALUES ('2024-01-01', 'web0', 0, -3, 'r2'), ('2024-01-01', 'web0', 0, -4, NULL);
SELECT ts, host, core, usage, rack FROM cpu WHERE ts = '2024-01-01' ORDER BY usage;
ALTER TABLE cpu ALTER rack SET DEFAULT 'r9';
SELECT rack, count(*) FROM cpu GROUP BY 1 ORDER BY 1;

-- An ADD COLUMN that is rolled back leaves nothing behind, whatever comes after it.
BEGIN;
ALTER TABLE cpu ADD COLUMN extra float8 DEFAULT 1;
INSERT INTO cpu (ts, host, extra) VALUES ('2024-01-03', 'x', 2);
SELECT extra, count(*) FROM cpu GROUP BY 1 ORDER BY 1;
ROLLBACK;
INSERT INTO cpu (ts, host, usage) VALUES ('2024-01-03', 'x', 3);
ALTER TABLE cpu ADD COLUMN extra float8 DEFAULT 5;
SELECT extra, count(*) FROM cpu GROUP BY 1 ORDER BY 1;
ALTER TABLE cpu DROP COLUMN extra;
ALTER TABLE cpu ADD COLUMN extra text DEFAULT 'label';
SELECT extra, count(*) FROM cpu GROUP BY 1 ORDER BY 1;

-- Types that change: labels and values change roles with them.
ALTER TABLE cpu ALTER core TYPE text USING 'core ' || core;
ALTER TABLE cpu ALTER slot TYPE float8;
ALTER TABLE cpu ALTER temp TYPE int;
SELECT core, slot, temp, count(*) FROM cpu GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- Dropping a label lets series be that have the same labels now.  A rewrite makes them one.
CREATE TABLE two (ts timestamptz, a text, b text, v float8) USING memseries;
INSERT INTO two VALUES (date_trunc('hour', now()), 'x', 'y', 1), (date_trunc('hour', now()), 'x', 'z', 2);
ALTER TABLE two DROP COLUMN b;
SELECT a, v FROM two ORDER BY v;
VACUUM FULL two;
SELECT count(*) FROM two;
DROP TABLE two;

-- The rules for columns hold after every ALTER TABLE, also of a parent.
ALTER TABLE cpu DROP COLUMN ts;
ALTER TABLE cpu ADD COLUMN seen timestamptz;
ALTER TABLE cpu ALTER ts TYPE timestamp;
ALTER TABLE cpu DROP COLUMN ts, ADD COLUMN seen timestamptz DEFAULT '2000-01-01';
ALTER TABLE cpu DROP COLUMN usage, DROP COLUMN power, DROP COLUMN slot, DROP COLUMN volt;
CREATE TABLE parted (ts timestamptz, v float8) PARTITION BY RANGE (ts);
CREATE TABLE part PARTITION OF parted DEFAULT USING memseries;
ALTER TABLE parted ADD COLUMN seen timestamptz;
ALTER TABLE parted DROP COLUMN v;
ALTER TABLE parted ALTER v TYPE int;
ALTER TABLE parted ADD PRIMARY KEY (ts);
ALTER TABLE parted RENAME COLUMN v TO w;
SELECT attname FROM pg_attribute WHERE attrelid = 'part'::regclass AND attnum > 0 ORDER BY attnum;
DROP TABLE parted;
CREATE TYPE sample AS (ts timestamptz, v float8);
CREATE TABLE typed OF sample USING memseries;
ALTER TYPE sample ADD ATTRIBUTE seen timestamptz CASCADE;
ALTER TYPE sample ADD ATTRIBUTE host text CASCADE;
SELECT attname FROM pg_attribute WHERE attrelid = 'typed'::regclass AND attnum > 0 ORDER BY attnum;
DROP TABLE typed;
DROP TYPE sample;

-- A domain may take the last value with it; the table can still be read, and mended.
CREATE DOMAIN volt AS float8;
CREATE TABLE fragile (ts timestamptz, host text, v volt) USING memseries;
INSERT INTO fragile VALUES (now(), 'x', 1);
SET client_min_messages = warning;
DROP DOMAIN volt CASCADE;
RESET client_min_messages;
SELECT host FROM fragile;
INSERT INTO fragile VALUES (now(), 'x');
ALTER TABLE fragile ADD COLUMN v float8;
INSERT INTO fragile VALUES (now(), 'x', 1);
SELECT host, v FROM fragile ORDER BY v;
DROP TABLE fragile;

-- ANALYZE sees what heap shows; VACUUM has nothing to do but to count.
TRUNCATE model;
INSERT INTO model SELECT '2024-01-01'::timestamptz + i * interval '10 s', 'web' || i % 3, i % 2,
	CASE WHEN i % 11 > 0 THEN i % 100 END, 1 FROM generate_series(0, 29999) i;
CREATE TABLE stats (LIKE model) USING memseries;
SELECT FROM memseries.configure('stats', retain => NULL);
INSERT INTO stats TABLE model;
ANALYZE model;
ANALYZE stats;
SELECT m.attname, s.null_frac = m.null_frac AS nulls, s.n_distinct = m.n_distinct AS "distinct", s.avg_width = m.avg_width AS width,
	s.most_common_vals::text IS NOT DISTINCT FROM m.most_common_vals::text AS "common"
	FROM pg_stats s JOIN pg_stats m ON m.tablename = 'model' AND s.tablename = 'stats' AND m.attname = s.attname
	WHERE m.attname NOT IN ('ts', 'usage') ORDER BY 1;
SELECT reltuples FROM pg_class WHERE relname = 'stats';
VACUUM stats;
SELECT reltuples, relfrozenxid, relminmxid FROM pg_class WHERE relname = 'stats';
VACUUM (FULL, ANALYZE) stats;
SELECT reltuples, relpages > 0 AS pages FROM pg_class WHERE relname = 'stats';
CLUSTER stats USING stats_idx;

DROP TABLE cpu, model, stats;
