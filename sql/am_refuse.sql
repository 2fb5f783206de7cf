-- What memseries does not do.  Each is refused when the statement is planned or begun, whether or not it would have found
-- a row, with SQLSTATE 0A000 (feature_not_supported), a detail, and a hint at what to do instead.

SET timezone = 'UTC';
CREATE TABLE cpu (ts timestamptz NOT NULL, host text, usage float8) USING memseries;
SELECT FROM memseries.configure('cpu', retain => NULL);
INSERT INTO cpu VALUES ('2024-01-01', 'web1', 1);
CREATE TABLE host (name text PRIMARY KEY, usage float8);

-- Changing rows.  A sample is replaced by writing it again, and removed by series and time.
UPDATE cpu SET usage = 2;
UPDATE cpu SET usage = 2 WHERE false;
DELETE FROM cpu;
EXPLAIN DELETE FROM cpu;
MERGE INTO cpu USING host ON host = name WHEN NOT MATCHED THEN INSERT VALUES (now(), name, usage);
WITH gone AS (DELETE FROM cpu RETURNING *) SELECT * FROM gone;
WITH gone AS (DELETE FROM cpu RETURNING *) INSERT INTO host SELECT host, usage FROM gone;
INSERT INTO cpu VALUES (now(), 'web1', 1) ON CONFLICT DO NOTHING;
CREATE VIEW cpu_view AS SELECT * FROM cpu;
UPDATE cpu_view SET usage = 2;
DELETE FROM cpu_view;
PREPARE change AS UPDATE cpu SET usage = $1;
EXECUTE change(1);
DEALLOCATE change;

\set VERBOSITY sqlstate
UPDATE cpu SET usage = 2;
DELETE FROM cpu;
INSERT INTO cpu VALUES (now(), 'web1', 1) ON CONFLICT DO NOTHING;
SELECT * FROM cpu FOR UPDATE;
SELECT * FROM cpu TABLESAMPLE SYSTEM (10);
CREATE INDEX ON cpu (ts);
ALTER TABLE cpu ADD PRIMARY KEY (ts);
ALTER TABLE cpu SET TABLESPACE pg_default;
SELECT * FROM cpu WHERE ctid = '(0,1)';
\set VERBOSITY default

-- Row locks, of every strength, and only for the tables they are meant for.
SELECT * FROM cpu FOR UPDATE;
SELECT * FROM cpu FOR NO KEY UPDATE;
SELECT * FROM cpu FOR SHARE;
SELECT * FROM cpu FOR KEY SHARE;
SELECT * FROM (SELECT * FROM cpu FOR UPDATE) s;
SELECT name FROM host JOIN cpu ON host = name FOR UPDATE OF host;
SELECT name FROM host JOIN cpu ON host = name FOR UPDATE OF cpu;

-- Rows by place, random blocks.
SELECT * FROM cpu WHERE ctid = '(0,1)';
SELECT * FROM cpu WHERE ctid > '(0,1)';
SELECT * FROM cpu TABLESAMPLE BERNOULLI (50);
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM cpu;
FETCH c;
DELETE FROM cpu WHERE CURRENT OF c;
CLOSE c;
SELECT xmin FROM cpu;

-- Indexes, and constraints that need one.
CREATE INDEX ON cpu (ts);
CREATE UNIQUE INDEX ON cpu (ts);
CREATE INDEX CONCURRENTLY ON cpu (ts);
SELECT count(*) FROM pg_index WHERE indrelid = 'cpu'::regclass;
ALTER TABLE cpu ADD PRIMARY KEY (ts);
ALTER TABLE cpu ADD UNIQUE (ts);
ALTER TABLE cpu ADD EXCLUDE USING btree (ts WITH =);
ALTER TABLE cpu ADD COLUMN more float8 UNIQUE;
CREATE TABLE refers (h text REFERENCES cpu (host));

-- Storage.
ALTER TABLE cpu SET TABLESPACE pg_default;

-- Foreign keys that would change rows.  Those that only check are fine.
INSERT INTO host VALUES ('web1', 0);
ALTER TABLE cpu ADD FOREIGN KEY (host) REFERENCES host ON DELETE CASCADE;
ALTER TABLE cpu ADD FOREIGN KEY (host) REFERENCES host ON UPDATE SET NULL;
CREATE TABLE bad (ts timestamptz, host text REFERENCES host ON DELETE SET DEFAULT, v float8) USING memseries;

-- Logical replication does not see what is written.
SET client_min_messages = error;
CREATE PUBLICATION pub FOR TABLE cpu;
CREATE PUBLICATION pub FOR TABLE host;
ALTER PUBLICATION pub ADD TABLE cpu;
DROP PUBLICATION pub;
RESET client_min_messages;

-- Settings that do not parse; memseries.configure checks its own arguments.
SECURITY LABEL FOR memseries ON TABLE cpu IS 'retain';
SECURITY LABEL FOR memseries ON TABLE cpu IS 'retain=0';
SECURITY LABEL FOR memseries ON TABLE cpu IS 'retain=many';
SECURITY LABEL FOR memseries ON TABLE cpu IS 'chunk_interval=1 month';
SECURITY LABEL FOR memseries ON TABLE cpu IS 'chunk_interval=1 ms';
SECURITY LABEL FOR memseries ON TABLE cpu IS 'chunk_interval=soon';
SECURITY LABEL FOR memseries ON TABLE cpu IS 'on_full=panic';
SECURITY LABEL FOR memseries ON TABLE cpu IS 'compression=9';
SECURITY LABEL FOR memseries ON COLUMN cpu.host IS 'retain=8';
SECURITY LABEL FOR memseries ON TABLE host IS 'retain=8';
SECURITY LABEL FOR memseries ON TABLE host IS NULL;

-- Samples that cannot be.
INSERT INTO cpu VALUES (NULL, 'web1', 1);
ALTER TABLE cpu ALTER ts DROP NOT NULL;
INSERT INTO cpu VALUES (NULL, 'web1', 1);
INSERT INTO cpu VALUES ('infinity', 'web1', 1);
INSERT INTO cpu VALUES ('-infinity', 'web1', 1);
COPY cpu FROM stdin;
2024-01-01	web1	1
2024-01-01	web1	many
\.
COPY cpu FROM stdin;
2024-01-01	web1	1
\N	web1	1
\.

-- Nothing of all this has changed anything.
SELECT * FROM cpu;

DROP TABLE cpu, host CASCADE;
