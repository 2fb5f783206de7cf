-- The functions of memseries: settings, expiry, deleting, dump and load, first and last.

-- Fixed times need a table that keeps all windows; output must not depend on the clock.
SET timezone = 'UTC';
CREATE TABLE cpu (ts timestamptz NOT NULL, host text, core int, usage float8, temp float4) USING memseries;


-- configure() shows the settings, and changes those it is given.

SELECT * FROM memseries.configure('cpu');
SELECT * FROM memseries.configure('cpu', chunk_interval => '1 hour', retain => 24);
SELECT * FROM memseries.configure('cpu', on_out_of_range => 'skip', on_full => 'expire', max_series => 1000);

-- retain => NULL keeps all; leaving it out keeps the setting.
SELECT retain FROM memseries.configure('cpu', retain => NULL);
SELECT retain, chunk_interval FROM memseries.configure('cpu', chunk_interval => '1 day');

-- They are the table's security label, so pg_dump carries them and ROLLBACK undoes them.
SELECT label FROM pg_seclabels WHERE objoid = 'cpu'::regclass AND provider = 'memseries';
BEGIN;
SELECT retain FROM memseries.configure('cpu', retain => 3);
ROLLBACK;
SELECT retain FROM memseries.configure('cpu');
SECURITY LABEL FOR memseries ON TABLE cpu IS 'chunk_interval = 1 hour, retain = all';
SELECT * FROM memseries.configure('cpu');
SELECT * FROM memseries.configure('cpu', chunk_interval => '4 hours', retain => 8);
SELECT count(*) FROM pg_seclabels WHERE objoid = 'cpu'::regclass AND provider = 'memseries';
SELECT retain FROM memseries.configure('cpu', chunk_interval => '1 hour', retain => NULL);

-- What makes no sense is refused.
SELECT memseries.configure('cpu', chunk_interval => '1 month');
SELECT memseries.configure('cpu', chunk_interval => '0.5 s');
SELECT memseries.configure('cpu', chunk_interval => '-1 hour');
SELECT memseries.configure('cpu', chunk_interval => '200 years');
SELECT memseries.configure('cpu', chunk_interval => '99999 days');
SELECT memseries.configure('cpu', retain => 0);
SELECT memseries.configure('cpu', retain => -2);
SELECT memseries.configure('cpu', retain => 2000000000);
SELECT memseries.configure('cpu', on_full => 'panic');
SELECT memseries.configure('cpu', on_out_of_range => 'expire');
SELECT memseries.configure('cpu', max_series => 0);
SELECT memseries.configure(NULL);
SELECT memseries.configure(0);
SECURITY LABEL FOR memseries ON TABLE cpu IS 'retain = sometimes';
SECURITY LABEL FOR memseries ON TABLE cpu IS 'colour = blue';
SECURITY LABEL FOR memseries ON COLUMN cpu.usage IS 'retain = 1';

-- Only memseries tables have settings; a partitioned table's partitions have them, not itself.
CREATE TABLE plain (ts timestamptz, v float8);
SELECT memseries.configure('plain');
CREATE TABLE parted (ts timestamptz NOT NULL, host text, v float8) PARTITION BY LIST (host);
SELECT memseries.configure('parted');
SELECT memseries.configure('pg_class');
DROP TABLE plain, parted;


-- expire() drops windows that retention does not keep at a time, at once.

INSERT INTO cpu
	SELECT '2024-03-01 00:00'::timestamptz + i * interval '10 min', 'web' || h, h % 2, i + h, i
	FROM generate_series(0, 35) i, generate_series(1, 3) h;
SELECT count(*), min(ts), max(ts) FROM cpu;
SELECT memseries.expire('cpu', '2024-03-01 05:30');		-- nothing: all windows are kept
SELECT retain FROM memseries.configure('cpu', retain => 1000000);
SELECT memseries.expire('cpu', '2024-03-01 05:30');
SELECT memseries.expire('cpu', 'infinity');
SELECT memseries.expire('cpu', NULL);
SELECT count(*), min(ts), max(ts) FROM cpu;


-- delete_samples() removes times of series; the end of the range stays.

SELECT memseries.delete_samples('cpu', '2024-03-01 02:00', '2024-03-01 02:30', $$host = 'web1'$$);
SELECT host, count(*) FROM cpu GROUP BY host ORDER BY host;
SELECT ts::time FROM cpu WHERE host = 'web1' AND ts >= '2024-03-01 01:40' AND ts < '2024-03-01 03:00' ORDER BY ts;

-- The condition is any expression over labels; how many series it chose is returned.
SELECT memseries.delete_samples('cpu', '2024-03-01 03:00', '2024-03-01 04:00', 'core = 1');
SELECT memseries.delete_samples('cpu', '2024-03-01 03:00', '2024-03-01 03:10', $$host LIKE 'web%' AND core IN (0, 1)$$);
SELECT memseries.delete_samples('cpu', '2024-03-01 03:00', '2024-03-01 04:00', $$host ~ '^db'$$);
SELECT memseries.delete_samples('cpu', '2024-03-01 03:00', '2024-03-01 04:00', 'host IS NULL');
SELECT memseries.delete_samples('cpu', '2024-03-01 03:00', '2024-03-01 04:00', 'NULL');
SELECT host, count(*) FROM cpu GROUP BY host ORDER BY host;

-- Without bounds, without a condition; and undone.
BEGIN;
SELECT memseries.delete_samples('cpu', NULL, '2024-03-01 01:00');
SELECT count(*), min(ts) FROM cpu;
SAVEPOINT s;
SELECT memseries.delete_samples('cpu', '-infinity', 'infinity');
SELECT count(*) FROM cpu;
INSERT INTO cpu VALUES ('2024-03-01 00:00', 'web1', 1, -1, -1);
SELECT * FROM cpu;
ROLLBACK TO s;
SELECT count(*), min(ts) FROM cpu;
ROLLBACK;
SELECT count(*), min(ts) FROM cpu;

-- An empty range is nothing to do, one the wrong way round a mistake.
SELECT memseries.delete_samples('cpu', '2024-03-01 02:00', '2024-03-01 02:00');
SELECT memseries.delete_samples('cpu', '2024-03-02', '2024-03-01');

-- Conditions that are none.
SELECT memseries.delete_samples('cpu', NULL, NULL, '');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'host =');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'host');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'nosuch = 1');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'usage > 5');
SELECT memseries.delete_samples('cpu', NULL, NULL, $$ts < '2024-03-01'$$);
SELECT memseries.delete_samples('cpu', NULL, NULL, 'cpu IS NULL');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'tableoid = 1');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'count(*) > 1');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'row_number() OVER () > 1');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'random() < 0.5');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'host IN (SELECT relname FROM pg_class)');
SELECT memseries.delete_samples('cpu', NULL, NULL, $$host = 'web1' OR core = 1/0$$);
SELECT memseries.delete_samples('cpu', NULL, NULL, 'true; DROP TABLE cpu');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'true FROM pg_class');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'true, false');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'true AS answer');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'true UNION SELECT false');
SELECT memseries.delete_samples('cpu', NULL, NULL, '*');
SELECT memseries.delete_samples('cpu', NULL, NULL, 'host = $1');
SELECT memseries.delete_samples(NULL, NULL, NULL);
SELECT memseries.delete_samples('pg_class', NULL, NULL);
BEGIN READ ONLY;
SELECT memseries.delete_samples('cpu', NULL, NULL);
ROLLBACK;
SELECT count(*) FROM cpu;


-- first() and last() give the value at the earliest and the latest time.

SELECT host, memseries.first(usage, ts), memseries.last(usage, ts) FROM cpu GROUP BY host ORDER BY host;
SELECT memseries.first(host, ts), memseries.last(host || '!', ts) FROM cpu WHERE core = 0;

-- Any type; rows without a time are passed over, NULL is a value.
SELECT memseries.first(v, t), memseries.last(v, t)
	FROM (VALUES (1, '2024-01-02'::timestamptz), (2, '2024-01-01'), (NULL, '2024-01-03'), (4, NULL)) AS x (v, t);
SELECT memseries.last(v, t) FILTER (WHERE v IS NOT NULL)
	FROM (VALUES (1, '2024-01-02'::timestamptz), (2, '2024-01-01'), (NULL, '2024-01-03'), (4, NULL)) AS x (v, t);
SELECT memseries.first(v, t), memseries.last(v, t)
	FROM (VALUES ('{"a": 1}'::jsonb, '-infinity'::timestamptz), ('{"b": 2}', 'infinity'), ('[]', '2024-01-01')) AS x (v, t);
SELECT memseries.last(ARRAY[v, v + 1], t) FROM (VALUES (1, '2024-01-01'::timestamptz), (5, '2024-01-02')) AS x (v, t);
SELECT memseries.first(1, NULL), memseries.last(1, ts) FROM cpu WHERE false;
SELECT v, memseries.last(v, t) OVER (ORDER BY v)
	FROM (VALUES ('a', '2024-01-02'::timestamptz), ('b', '2024-01-01'), ('c', '2024-01-03')) AS x (v, t);

-- In parallel, states travel.
BEGIN;
CREATE TABLE many AS
	SELECT '2024-01-01'::timestamptz + i * interval '1 s' AS ts, i % 3 AS k, i AS v, 'n' || i AS name
	FROM generate_series(1, 30000) i;
ANALYZE many;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT k, memseries.first(v, ts), memseries.last(name, ts) FROM many GROUP BY k ORDER BY k;
SELECT k, memseries.first(v, ts), memseries.last(name, ts) FROM many GROUP BY k ORDER BY k;
ROLLBACK;


-- dump_table() writes a file of the server, load_table() adds what is in it.

SELECT count(*), sum(usage), sum(temp) FROM cpu;
SELECT current_setting('data_directory') || '/cpu.dump' AS file \gset
SELECT memseries.dump_table('cpu', :'file') > 0 AS written;
CREATE TABLE cpu_copy (temp float4, host text, usage float8, core int, ts timestamptz NOT NULL) USING memseries;
SELECT retain FROM memseries.configure('cpu_copy', retain => NULL);
SELECT memseries.load_table('cpu_copy', :'file');
SELECT count(*), sum(usage), sum(temp) FROM cpu_copy;
SELECT count(*) FROM (SELECT ts, host, core, usage, temp FROM cpu EXCEPT ALL SELECT ts, host, core, usage, temp FROM cpu_copy) AS missing;

-- What is there already is replaced, so loading twice changes nothing.
SELECT memseries.load_table('cpu_copy', :'file');
SELECT count(*), sum(usage), sum(temp) FROM cpu_copy;

-- It is part of the transaction.
BEGIN;
TRUNCATE cpu_copy;
SELECT memseries.load_table('cpu_copy', :'file') > 0 AS loaded;
SELECT count(*) = (SELECT count(*) FROM cpu) AS all_there FROM cpu_copy;
ROLLBACK;
SELECT count(*) FROM cpu_copy;

-- What cannot be done is refused.  The file's place differs from run to run, so it is cut out of the messages.
CREATE FUNCTION refused(what text, VARIADIC args text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE format('SELECT memseries.%I(%L, %L)', what, args[1], args[2]);
	RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(concat_ws(E'\n', SQLSTATE || ' ' || message, nullif(detail, ''), nullif(hint, '')),
		current_setting('data_directory') || '/?', '', 'g');
END $$;
\pset format unaligned
\pset tuples_only

-- Columns must be the same, by name and type.
CREATE TABLE other (ts timestamptz NOT NULL, host text, core int, usage float8, temp float8) USING memseries;
SELECT refused('load_table', 'other', :'file');
ALTER TABLE other DROP COLUMN temp;
SELECT refused('load_table', 'other', :'file');
ALTER TABLE other ADD COLUMN temp float4, ADD COLUMN humidity float8;
SELECT refused('load_table', 'other', :'file');

-- Where the server would have to look at rows, rows it must be.
ALTER TABLE other DROP COLUMN humidity, ADD CHECK (usage < 1000);
SELECT refused('load_table', 'other', :'file');
DROP TABLE other;
CREATE TABLE other (ts timestamptz NOT NULL, host text, core int, usage float8, temp float4) USING memseries;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER t AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT refused('load_table', 'other', :'file');
DROP TRIGGER t ON other;
CREATE DOMAIN positive AS float8 CHECK (VALUE > 0);
ALTER TABLE other ALTER usage TYPE positive;
SELECT refused('load_table', 'other', :'file');
ALTER TABLE other ALTER usage TYPE float8;
DROP DOMAIN positive;

-- NOT NULL is checked, and retention.
SELECT refused('load_table', 'other', :'file') ~ '^22008 time 2024-\S+ \S+ is out of range for memseries table "other"\n' AS too_old;
SELECT retain FROM memseries.configure('other', retain => NULL);
INSERT INTO cpu VALUES ('2024-03-01 00:00', NULL, 1, 1, NULL);
SELECT memseries.dump_table('cpu', :'file') > 0 AS written;
ALTER TABLE other ALTER temp SET NOT NULL;
SELECT refused('load_table', 'other', :'file');
ALTER TABLE other ALTER temp DROP NOT NULL, ALTER host SET NOT NULL;
SELECT refused('load_table', 'other', :'file');
ALTER TABLE other ALTER host DROP NOT NULL;
SELECT refused('load_table', 'other', :'file');
SELECT count(*) = (SELECT count(*) FROM cpu) AS all_there FROM other;

-- Before a load comes all that the transaction wrote before, outside of the savepoint, too.
CREATE FUNCTION load_last(file text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	INSERT INTO other VALUES ('2024-04-01', 'written twice', 1, 1, 1);
	BEGIN
		INSERT INTO other VALUES ('2024-04-01', 'written twice', 1, 2, 1);
		n := memseries.load_table('other', file);
	EXCEPTION WHEN division_by_zero THEN
	END;
END $$;
SELECT load_last(:'file');
SELECT usage FROM other WHERE host = 'written twice';
DROP FUNCTION load_last;
DROP TABLE cpu_copy, other;
DROP FUNCTION nothing;

-- Paths are absolute, files are ours.
SELECT refused('dump_table', 'cpu', 'cpu.dump');
SELECT refused('load_table', 'cpu', 'cpu.dump');
SELECT refused('dump_table', 'pg_class', :'file');
SELECT refused('load_table', 'pg_class', :'file');
SELECT refused('load_table', 'cpu', '/nonexistent/cpu.dump');
SELECT refused('dump_table', 'cpu', '/nonexistent/cpu.dump') ~ '^58P01 could not create file "/nonexistent/cpu.dump\.\d+\.tmp": ' AS refused;
SELECT refused('load_table', 'cpu', current_setting('data_directory') || '/postgresql.conf');
SELECT refused('load_table', 'cpu', current_setting('data_directory') || '/global/pg_control');
SELECT refused('load_table', 'cpu', current_setting('data_directory') || '/base');
SELECT refused('dump_table', 'cpu', current_setting('data_directory') || '/base');
DROP FUNCTION refused;
\pset format aligned
\pset tuples_only

-- The self-check finds nothing.
SELECT * FROM memseries.check('cpu');
SELECT * FROM memseries.check();

DROP TABLE cpu;

-- Everything has a description.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
	FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'memseries' AND d.deptype = 'e'
		AND coalesce(obj_description(d.objid, d.classid::regclass::name), '') = ''
		AND d.classid <> 'pg_type'::regclass
	ORDER BY 1;
SELECT c.relname, a.attname
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	WHERE c.relnamespace = 'memseries'::regnamespace AND c.relkind = 'v' AND col_description(c.oid, a.attnum) IS NULL
	ORDER BY 1, 2;
