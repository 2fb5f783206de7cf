-- CREATE TABLE ... USING memseries: which tables memseries takes, and in which forms.

SET timezone = 'UTC';

-- One timestamptz is the time, float8 and float4 are values, every other column is a label.
CREATE TABLE cpu (ts timestamptz NOT NULL, host text, core int, usage float8, temp real) USING memseries;
INSERT INTO cpu VALUES (now(), 'web1', 0, 12.5, 60), (now(), 'web1', 1, NULL, 'NaN'), (now(), NULL, NULL, '-0', '-Infinity')
	RETURNING host, core, usage, temp;
SELECT host, core, usage, temp FROM cpu ORDER BY core;

-- No label at all is one series; labels may have any type.
CREATE TABLE single (ts timestamptz, v float8) USING memseries;
INSERT INTO single SELECT now() - i * interval '1 s', i FROM generate_series(1, 3) i;
SELECT v FROM single ORDER BY v;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN volt AS float8 CHECK (value < 1000);
CREATE TYPE pair AS (a int, b text);
CREATE TABLE kinds (ts timestamptz, l_text text, l_char char(5), l_name name, l_bool bool, l_chr "char", l_int2 int2,
	l_int8 int8, l_num numeric, l_date date, l_ts timestamp, l_uuid uuid, l_json jsonb, l_arr text[], l_enum mood,
	l_pair pair, l_bytea bytea, l_inet inet, l_range int4range, v volt) USING memseries;
INSERT INTO kinds VALUES (now(), 'text', 'char', 'name', true, 'c', -2, 8000000000, 1.50, '2024-02-29', '2024-02-29 12:00',
	'00000000-0000-0000-0000-00000000000f', '{"a": [1, null]}', '{x,NULL,"y z"}', 'bad', '(1,one)', '\x00ff', '10.0.0.0/8',
	'[1,5)', 230);
INSERT INTO kinds (ts, v) VALUES (now(), 1);
INSERT INTO kinds (ts, v) VALUES (now(), 1000);
\x
SELECT l_text, l_char, l_name, l_bool, l_chr, l_int2, l_int8, l_num, l_date, l_ts, l_uuid, l_json, l_arr, l_enum, l_pair,
	l_bytea, l_inet, l_range, v FROM kinds ORDER BY v;
\x

-- A label is identified by its bytes, so equal numerics of different scale are different labels.
CREATE TABLE scale (ts timestamptz, n numeric, v float8) USING memseries;
INSERT INTO scale VALUES (now(), 1.5, 1), (now(), 1.50, 2);
SELECT n, v FROM scale ORDER BY v;

-- A large label is kept whole, until it is too large to be a name.
INSERT INTO kinds (ts, l_text, v) VALUES (now(), repeat('x', 65535), 2);
SELECT length(l_text) FROM kinds WHERE v = 2;
INSERT INTO kinds (ts, l_text, v) VALUES (now(), repeat('x', 65536), 3);

-- Tables that do not fit.
CREATE TABLE bad (host text, usage float8) USING memseries;
CREATE TABLE bad (ts timestamptz, seen timestamptz, usage float8) USING memseries;
CREATE TABLE bad (ts timestamp, usage float8) USING memseries;
CREATE TABLE bad (ts timestamptz, count int) USING memseries;
CREATE TEMP TABLE bad (ts timestamptz, usage float8) USING memseries;
CREATE TABLE bad () USING memseries;

-- Constraints that need an index, in every way to write them.
CREATE TABLE bad (ts timestamptz PRIMARY KEY, usage float8) USING memseries;
CREATE TABLE bad (ts timestamptz, usage float8, UNIQUE (ts)) USING memseries;
CREATE TABLE bad (ts timestamptz, usage float8, EXCLUDE USING btree (ts WITH =)) USING memseries;
CREATE TABLE heap (ts timestamptz PRIMARY KEY, usage float8);
CREATE TABLE bad (LIKE heap INCLUDING ALL) USING memseries;
SELECT count(*) FROM pg_class WHERE relname LIKE 'bad%';

-- Other constraints, defaults and generated columns are PostgreSQL's affair.
CREATE TABLE rules (ts timestamptz DEFAULT now() NOT NULL, id int GENERATED ALWAYS AS IDENTITY, v float8 CHECK (v >= 0),
	twice float8 GENERATED ALWAYS AS (v * 2) STORED) USING memseries;
INSERT INTO rules (v) VALUES (1), (2);
INSERT INTO rules (ts, v) VALUES ('2024-01-01', -1);
SELECT id, v, twice FROM rules ORDER BY id;

-- CREATE TABLE AS, UNLOGGED, materialized views.
CREATE TABLE copied USING memseries AS SELECT now() AS ts, 'x' AS l, 1.5::float8 AS v;
CREATE UNLOGGED TABLE unlogged (ts timestamptz, v float8) USING memseries;
INSERT INTO unlogged VALUES (now(), 1);
SELECT l, v, (SELECT v FROM unlogged) FROM copied;
CREATE MATERIALIZED VIEW lately USING memseries AS SELECT now() - i * interval '1 s' AS ts, i::float8 AS v FROM generate_series(1, 3) i;
SELECT sum(v) FROM lately;
REFRESH MATERIALIZED VIEW lately;
SELECT sum(v) FROM lately;
CREATE TABLE bad USING memseries AS SELECT 1::float8 AS v;

-- memseries as the default, and tables made and gone in one transaction.
SET default_table_access_method = memseries;
BEGIN;
CREATE TABLE gone (ts timestamptz, v float8);
INSERT INTO gone VALUES (now(), 1);
SAVEPOINT s;
CREATE TABLE gone2 (ts timestamptz, v float8);
INSERT INTO gone2 VALUES (now(), 1);
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM gone2);
ROLLBACK TO s;
SELECT count(*) FROM gone;
ROLLBACK;
RESET default_table_access_method;

-- Partitions: some of a table's may be memseries.
CREATE TABLE parted (ts timestamptz, host text, v float8) PARTITION BY RANGE (ts);
CREATE TABLE parted_old PARTITION OF parted FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE parted_new PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO (MAXVALUE) USING memseries;
SELECT FROM memseries.configure('parted_new', retain => NULL);
INSERT INTO parted VALUES ('2023-12-31', 'a', 1), ('2024-01-01', 'a', 2), ('2024-01-02', 'b', 3);
INSERT INTO parted VALUES ('2023-12-31', 'a', 1), ('2024-01-01', 'a', 4) RETURNING tableoid::regclass, v;
SELECT tableoid::regclass, * FROM parted ORDER BY ts, v;
CREATE TABLE parted_bad PARTITION OF parted_new FOR VALUES IN (1);
CREATE INDEX ON parted (ts);
CREATE INDEX ON ONLY parted (ts);
CREATE TABLE parted_more PARTITION OF parted DEFAULT USING memseries;
ALTER TABLE parted DETACH PARTITION parted_new;
SELECT count(*) FROM parted_new;
ALTER TABLE parted ATTACH PARTITION parted_new FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);

-- Inheritance.
CREATE TABLE base (ts timestamptz, v float8) USING memseries;
CREATE TABLE child (extra text) INHERITS (base) USING memseries;
CREATE TABLE heapchild () INHERITS (base);
INSERT INTO base VALUES (now(), 1);
INSERT INTO child VALUES (now(), 2, 'x');
INSERT INTO heapchild VALUES (now(), 3);
SELECT tableoid::regclass, v FROM base ORDER BY v;

DROP MATERIALIZED VIEW lately;
DROP TABLE cpu, single, kinds, scale, heap, rules, copied, unlogged, parted, parted_new, base CASCADE;
DROP TYPE mood, pair;
DROP DOMAIN volt;
