-- Writing: what is in a table after INSERT and COPY, in transactions, with triggers, foreign keys and rights.

SET timezone = 'UTC';
CREATE TABLE cpu (ts timestamptz NOT NULL, host text, usage float8) USING memseries;
SELECT FROM memseries.configure('cpu', retain => NULL);

-- Labels and time identify a sample; the last write wins, within a statement, a transaction, and after.
INSERT INTO cpu VALUES ('2024-01-01', 'a', 1), ('2024-01-01', 'a', 2), ('2024-01-01', NULL, 3), ('2024-01-01', '', 4);
SELECT * FROM cpu ORDER BY usage;
INSERT INTO cpu VALUES ('2024-01-01', 'a', NULL);
SELECT * FROM cpu WHERE host = 'a';
BEGIN;
INSERT INTO cpu VALUES ('2024-01-01', 'a', 5);
SELECT * FROM cpu WHERE host = 'a';
INSERT INTO cpu VALUES ('2024-01-01', 'a', 6);
COMMIT;
SELECT * FROM cpu WHERE host = 'a';

-- Samples may come in any order.
TRUNCATE cpu;
INSERT INTO cpu SELECT '2024-01-01'::timestamptz + i * 7919 % 1000 * interval '1 min', 'a', i FROM generate_series(1, 1000) i;
SELECT count(*), count(DISTINCT ts), min(ts), max(ts) FROM cpu;
SELECT count(*) FROM (SELECT ts < lag(ts) OVER () AS back FROM cpu) s WHERE back;

-- Savepoints, and subtransactions of PL/pgSQL.
TRUNCATE cpu;
BEGIN;
INSERT INTO cpu VALUES ('2024-01-01', 'a', 1);
SAVEPOINT s1;
INSERT INTO cpu VALUES ('2024-01-01', 'a', 2), ('2024-01-02', 'a', 2);
SAVEPOINT s2;
INSERT INTO cpu VALUES ('2024-01-01', 'a', 3);
SELECT * FROM cpu ORDER BY ts;
ROLLBACK TO s2;
SELECT * FROM cpu ORDER BY ts;
RELEASE s1;
SELECT * FROM cpu ORDER BY ts;
SAVEPOINT s3;
INSERT INTO cpu VALUES ('2024-01-02', 'a', 4);
ROLLBACK TO s3;
INSERT INTO cpu VALUES ('2024-01-03', 'a', 5);
COMMIT;
SELECT * FROM cpu ORDER BY ts;
DO $$
BEGIN
	FOR i IN 1..300 LOOP
		BEGIN
			INSERT INTO cpu VALUES ('2024-01-04'::timestamptz + i * interval '1 s', 'loop', i);
			IF i % 3 = 0 THEN
				RAISE EXCEPTION 'every third';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
END $$;
SELECT count(*), sum(usage) FROM cpu WHERE host = 'loop';

-- A cursor shows what was there when it was opened; one with SCROLL, or a plain one, can go back.
TRUNCATE cpu;
INSERT INTO cpu SELECT '2024-01-01'::timestamptz + i * interval '3 hours', 'h' || i % 2, i FROM generate_series(1, 6) i;
SET memseries.enable_customscan = off;
BEGIN;
DECLARE c CURSOR FOR SELECT host, usage FROM cpu;
INSERT INTO cpu VALUES ('2024-02-01', 'h0', 100);
FETCH 4 c;
FETCH BACKWARD 2 c;
FETCH ALL c;
FETCH BACKWARD ALL c;
FETCH NEXT c;
FETCH ABSOLUTE 4 c;
FETCH PRIOR c;
FETCH LAST c;
COMMIT;
RESET memseries.enable_customscan;

-- A statement does not see what it writes; functions it calls do if they are volatile.
TRUNCATE cpu;
INSERT INTO cpu VALUES ('2024-01-01', 'a', 1);
INSERT INTO cpu SELECT ts + interval '1 s', host, usage + 1 FROM cpu;
CREATE FUNCTION rows_then() RETURNS float8 LANGUAGE sql STABLE AS 'SELECT count(*) FROM cpu';
CREATE FUNCTION rows_now() RETURNS float8 LANGUAGE sql VOLATILE AS 'SELECT count(*) FROM cpu';
BEGIN;
INSERT INTO cpu VALUES ('2024-01-01', 'b', 0);
INSERT INTO cpu SELECT '2024-01-02'::timestamptz + i * interval '1 s', 'then', rows_then() FROM generate_series(1, 3) i;
INSERT INTO cpu SELECT '2024-01-02'::timestamptz + i * interval '1 s', 'now', rows_now() FROM generate_series(1, 3) i;
COMMIT;
SELECT host, usage FROM cpu ORDER BY host, ts;
WITH new AS (INSERT INTO cpu VALUES ('2024-01-03', 'c', 1) RETURNING *)
	SELECT (SELECT count(*) FROM cpu WHERE host = 'c') AS in_table, (SELECT count(*) FROM new) AS in_new;
DROP FUNCTION rows_then, rows_now;

-- COPY, there and back, in every format.
TRUNCATE cpu;
COPY cpu FROM stdin (FORMAT csv, HEADER);
ts,host,usage
2024-01-01,a,1.5
2024-01-02,"b,c",
2024-01-03,,-Infinity
\.
COPY cpu TO stdout;
COPY (SELECT host, usage FROM cpu ORDER BY ts DESC) TO stdout (FORMAT csv);
COPY cpu (host, ts, usage) FROM stdin WHERE usage > 5;
d	2024-01-01	5
d	2024-01-02	6
\.
SELECT * FROM cpu ORDER BY ts, host;

-- Triggers.  AFTER ROW triggers see the rows they were fired for.
CREATE TABLE log (n serial, fired text, said text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log (fired, said) VALUES (tg_when || ' ' || tg_level, CASE WHEN tg_level = 'ROW' THEN new.host || ' ' || new.usage END);
	RETURN new;
END $$;
CREATE FUNCTION note_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log (fired, said) SELECT 'transition table', host || ' ' || usage FROM new_rows;
	RETURN NULL;
END $$;
CREATE TRIGGER before_row BEFORE INSERT ON cpu FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER after_row AFTER INSERT ON cpu FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER after_statement AFTER INSERT ON cpu FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER after_new AFTER INSERT ON cpu REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_new();
INSERT INTO cpu VALUES ('2024-01-01', 'x', 1), ('2024-01-01', 'x', 2);
COPY cpu FROM stdin;
2024-01-01	y	3
\.
SELECT fired, said FROM log ORDER BY n;
DROP TRIGGER before_row ON cpu;
DROP TRIGGER after_row ON cpu;
DROP TRIGGER after_statement ON cpu;
DROP TRIGGER after_new ON cpu;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON cpu DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
TRUNCATE log;
BEGIN;
INSERT INTO cpu VALUES ('2024-01-01', 'kept', 1);
SAVEPOINT s;
INSERT INTO cpu VALUES ('2024-01-01', 'undone', 2);
ROLLBACK TO s;
INSERT INTO cpu VALUES ('2024-01-01', 'kept', 3);
SELECT count(*) FROM log;
COMMIT;
SELECT said FROM log ORDER BY n;
-- ... all of them the same rows, with all that belongs to these.
CREATE TRIGGER one AFTER INSERT ON cpu FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER two AFTER INSERT ON cpu FOR EACH ROW EXECUTE FUNCTION note();
TRUNCATE log;
INSERT INTO cpu VALUES ('2024-01-01', 'x', 1), ('2024-01-01', 'x', 2);
SELECT said FROM log ORDER BY n;
DROP TRIGGER one ON cpu;
DROP TRIGGER two ON cpu;
CREATE TABLE wide (x text);
ALTER TABLE wide ALTER x SET STORAGE EXTERNAL;
INSERT INTO wide VALUES (repeat('x', 10000));
TRUNCATE log;
BEGIN;
INSERT INTO cpu SELECT '2024-01-01', x, 1 FROM wide;
DROP TABLE wide;
COMMIT;
SELECT length(said) FROM log;
DROP TRIGGER at_commit ON cpu;
CREATE TABLE changing (ts timestamptz NOT NULL, host int, usage float8) USING memseries;
CREATE FUNCTION note_usage() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log (said) VALUES (new.usage); RETURN NULL; END';
CREATE TRIGGER after_row AFTER INSERT ON changing FOR EACH ROW EXECUTE FUNCTION note_usage();
TRUNCATE log;
BEGIN;
INSERT INTO changing VALUES (now(), 1, 1);
ALTER TABLE changing ALTER host TYPE text;
INSERT INTO changing VALUES (now(), 'no longer a number', 2);
COMMIT;
SELECT said FROM log ORDER BY n;
DROP TABLE changing;
DROP FUNCTION note_usage;

-- What a transaction has written it plans for, and analyzes.
TRUNCATE cpu;
BEGIN;
INSERT INTO cpu SELECT '2024-01-01'::timestamptz + i * interval '1 s', 'a', i FROM generate_series(1, 1000) i;
ANALYZE cpu;
SELECT reltuples, (SELECT n_distinct FROM pg_stats WHERE tablename = 'cpu' AND attname = 'host') FROM pg_class WHERE oid = 'cpu'::regclass;
COMMIT;

-- Foreign keys from samples to a table of hosts.
CREATE TABLE host (name text PRIMARY KEY);
INSERT INTO host VALUES ('a'), ('b');
TRUNCATE cpu;
INSERT INTO cpu VALUES ('2024-01-01', 'a', 1), ('2024-01-01', 'nobody', 1);
ALTER TABLE cpu ADD CONSTRAINT known FOREIGN KEY (host) REFERENCES host;
TRUNCATE cpu;
ALTER TABLE cpu ADD CONSTRAINT known FOREIGN KEY (host) REFERENCES host;
INSERT INTO cpu VALUES ('2024-01-01', 'a', 1), ('2024-01-01', NULL, 1);
INSERT INTO cpu VALUES ('2024-01-01', 'nobody', 1);
DELETE FROM host WHERE name = 'b';
DELETE FROM host WHERE name = 'a';
UPDATE host SET name = 'c' WHERE name = 'a';
ALTER TABLE cpu DROP CONSTRAINT known;
DELETE FROM host WHERE name = 'a';
ALTER TABLE cpu ADD CONSTRAINT known FOREIGN KEY (host) REFERENCES host NOT VALID;
ALTER TABLE cpu VALIDATE CONSTRAINT known;
ALTER TABLE cpu DROP CONSTRAINT known;

-- Rights and row-level security.
TRUNCATE cpu;
INSERT INTO cpu VALUES ('2024-01-01', 'mine', 1), ('2024-01-01', 'yours', 2);
CREATE ROLE regress_memseries_reader;
SET ROLE regress_memseries_reader;
SELECT * FROM cpu;
RESET ROLE;
GRANT SELECT, INSERT ON cpu TO regress_memseries_reader;
ALTER TABLE cpu ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON cpu USING (host = 'mine');
SET ROLE regress_memseries_reader;
SELECT * FROM cpu;
INSERT INTO cpu VALUES ('2024-01-01', 'yours', 3);
INSERT INTO cpu VALUES ('2024-01-01', 'mine', 3);
COPY cpu TO stdout;
TRUNCATE cpu;
ALTER TABLE cpu ADD COLUMN x float8;
SECURITY LABEL FOR memseries ON TABLE cpu IS 'retain=1';
RESET ROLE;
REVOKE ALL ON cpu FROM regress_memseries_reader;
DROP POLICY own ON cpu;
DROP ROLE regress_memseries_reader;

-- Times outside of what is kept: an error, or left out and counted.
SELECT FROM memseries.configure('cpu', retain => 1, chunk_interval => '1 hour');
DO $$
BEGIN
	INSERT INTO cpu VALUES (now() - interval '3 hours', 'a', 1);
EXCEPTION WHEN datetime_field_overflow THEN
	RAISE NOTICE 'too old: %', sqlstate;
END $$;
DO $$
BEGIN
	INSERT INTO cpu VALUES (now() + interval '2 hours', 'a', 1);
EXCEPTION WHEN datetime_field_overflow THEN
	RAISE NOTICE 'too new: %', sqlstate;
END $$;
SELECT FROM memseries.configure('cpu', on_out_of_range => 'skip');
INSERT INTO cpu VALUES (now() - interval '3 hours', 'old', 1), (now(), 'fresh', 2), (now() + interval '2 hours', 'new', 3);
SELECT host, usage FROM cpu WHERE host IN ('old', 'fresh', 'new');
SELECT skipped_samples FROM memseries.tables WHERE relation = 'cpu'::regclass;

-- More series than allowed.
CREATE TABLE narrow (ts timestamptz, id int, v float8) USING memseries;
SELECT FROM memseries.configure('narrow', max_series => 10);
INSERT INTO narrow SELECT now(), i, 1 FROM generate_series(1, 10) i;
INSERT INTO narrow SELECT now(), i, 1 FROM generate_series(1, 11) i;
SELECT count(*) FROM narrow;

DROP TABLE cpu, log, host, narrow;
DROP FUNCTION note, note_new;
