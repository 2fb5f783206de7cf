-- delete_samples against the same deletes in a heap table.
BEGIN;
SET client_min_messages = warning;
SELECT plan(22);

CREATE TABLE t (ts timestamptz NOT NULL, host text, n int, tags jsonb, v float8, w float4) USING memseries;
SELECT lives_ok($$SELECT memseries.configure('t', chunk_interval => '1 hour', retain => NULL)$$, 'configured');
CREATE TABLE h (LIKE t);

CREATE VIEW rows_t AS SELECT ts, host, n, tags, v, w FROM t;
CREATE VIEW rows_h AS SELECT ts, host, n, tags, v, w FROM h;

CREATE FUNCTION gone(from_time timestamptz, to_time timestamptz, condition text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	chosen bigint;
	same bigint;
BEGIN
	chosen := memseries.delete_samples('t', from_time, to_time, condition);
	EXECUTE format('DELETE FROM h WHERE ts >= coalesce($1, %L) AND ts < coalesce($2, %L) AND (%s)',
		'-infinity', 'infinity', coalesce(condition, 'true')) USING from_time, to_time;
	SELECT count(*) INTO same FROM
		((TABLE rows_t EXCEPT ALL TABLE rows_h) UNION ALL (TABLE rows_h EXCEPT ALL TABLE rows_t)) AS d;
	IF same <> 0 THEN
		RAISE EXCEPTION '% rows differ', same;
	END IF;
	RETURN chosen;
END $$;

INSERT INTO h
	SELECT '2024-01-01'::timestamptz + i * interval '1 min', CASE WHEN s < 9 THEN 'host' || s % 5 END, s % 3,
			jsonb_build_object('s', s), i * s, CASE WHEN i % 7 > 0 THEN i END
	FROM generate_series(0, 599) i, generate_series(0, 9) s;
INSERT INTO t SELECT * FROM h;

SELECT is(gone('2024-01-01 00:10', '2024-01-01 00:20', NULL), 10::bigint, 'part of a window, all series');
SELECT is(gone('2024-01-01 01:00', '2024-01-01 03:00', $$host = 'host1'$$), 2::bigint, 'whole windows, some series');
SELECT is(gone('2024-01-01 03:59:59.999999', '2024-01-01 04:00:00.000001', NULL), 10::bigint, 'one microsecond around a boundary');
SELECT is(gone(NULL, '2024-01-01 00:01', 'n = 0'), 4::bigint, 'from the beginning');
SELECT is(gone('2024-01-01 09:30', NULL, 'n = 1'), 3::bigint, 'to the end');
SELECT is(gone('2024-01-01 05:00', '2024-01-01 06:00', 'host IS NULL'), 1::bigint, 'a NULL label');
SELECT is(gone('2024-01-01 05:00', '2024-01-01 06:00', $$tags @> '{"s": 4}'$$), 1::bigint, 'a label of jsonb');
SELECT is(gone('2024-01-01 05:00', '2024-01-01 06:00', $$upper(host) = 'HOST3' AND n BETWEEN 0 AND 2$$), 2::bigint, 'functions');
SELECT is(gone('2024-01-01 05:00', '2024-01-01 06:00', $$CASE WHEN n = 2 THEN host ELSE 'x' END > 'host1'$$), 5::bigint, 'CASE, collations');
SELECT is(gone('2030-01-01', '2031-01-01', NULL), 0::bigint, 'where there is nothing');

-- Deletes and writes of one transaction come in their order.
INSERT INTO t VALUES ('2024-01-01 00:15', 'host1', 1, '{"s": 1}', -5, 1);
INSERT INTO h VALUES ('2024-01-01 00:15', 'host1', 1, '{"s": 1}', -5, 1);
SELECT is(gone('2024-01-01 00:30', '2024-01-01 00:31', NULL), 10::bigint, 'a row written after the delete stays');
SELECT is(gone('2024-01-01 00:15', '2024-01-01 00:16', $$host = 'host1'$$) > 0, true, 'and goes with the next one');

-- Savepoints.
SAVEPOINT a;
SELECT is(memseries.delete_samples('t', NULL, NULL, 'true') > 0, true, 'everything goes');
SELECT is((SELECT count(*) FROM t)::int, 0, 'is gone');
ROLLBACK TO a;
SELECT is(gone('2024-01-01 07:00', '2024-01-01 07:01', NULL), 10::bigint, 'and is back');
SAVEPOINT b;
SELECT is(gone('2024-01-01 08:00', '2024-01-01 08:01', NULL), 10::bigint, 'a delete in a savepoint');
RELEASE b;
SELECT is(gone('2024-01-01 08:01', '2024-01-01 08:01', NULL), 0::bigint, 'stays when that is released');

-- An error in the condition changes nothing.
SELECT throws_ok($$SELECT memseries.delete_samples('t', NULL, NULL, '1 / n > 0')$$, '22012', 'division by zero', 'errors are those of the condition');
SELECT is(gone('2024-01-01 08:02', '2024-01-01 08:02', NULL), 0::bigint, 'and nothing is gone');

-- Everything, then again.
SELECT ok(gone(NULL, NULL, NULL) > 0, 'everything');
SELECT is_empty('SELECT * FROM t', 'nothing is left');

SELECT * FROM finish();
ROLLBACK;
