-- Who may do and see what.
--
-- Roles are of the whole server, so everything happens in one transaction and is rolled back.
BEGIN;
SET client_min_messages = warning;
SET search_path = public;
SELECT plan(45);

CREATE ROLE ms_owner;
CREATE ROLE ms_other;
CREATE ROLE ms_watcher IN ROLE pg_monitor;
CREATE ROLE ms_files IN ROLE pg_read_server_files, pg_write_server_files;
GRANT CREATE ON SCHEMA public TO ms_owner, ms_other;

SET ROLE ms_owner;
CREATE TABLE mine (ts timestamptz NOT NULL, host text, v float8) USING memseries;
SELECT lives_ok($$SELECT memseries.configure('mine', retain => NULL)$$, 'an owner configures its table');
INSERT INTO mine VALUES ('2024-01-01', 'a', 1), ('2024-01-01', 'b', 2);

-- The owner.
SELECT is((SELECT count(*) FROM memseries.tables)::int, 1, 'an owner sees its table');
SELECT is((SELECT count(*) FROM memseries.windows)::int, 1, '... its windows');
SELECT is((SELECT count(*) FROM memseries.series)::int, 2, '... its series');
SELECT is((SELECT count(*) FROM memseries.get_series('mine'))::int, 2, '... also by function');
SELECT is(memseries.delete_samples('mine', NULL, NULL, $$host = 'b'$$)::int, 1, 'an owner deletes samples');
SELECT lives_ok($$SELECT memseries.expire('mine')$$, 'an owner expires windows');
SELECT throws_ok('SELECT * FROM memseries.memory', '42501', NULL, 'but does not see the memory of the server');
SELECT throws_ok('SELECT * FROM memseries.size_classes', '42501', NULL, '... nor its size classes');
SELECT throws_ok('SELECT * FROM memseries.workers', '42501', NULL, '... nor the workers');
SELECT throws_ok('SELECT memseries.get_memory()', '42501', NULL, '... nor by calling the function');
SELECT throws_ok('SELECT memseries.snapshot()', '42501', NULL, '... may not start a snapshot');
SELECT throws_ok('SELECT memseries.check()', '42501', NULL, '... nor a check');
SELECT throws_ok($$SELECT memseries.dump_table('mine', '/tmp/x')$$, '42501',
	'permission denied to write a file of the server', '... nor write files of the server');
SELECT throws_ok($$SELECT memseries.load_table('mine', '/tmp/x')$$, '42501',
	'permission denied to read a file of the server', '... nor read them');

-- Somebody else.
SET ROLE ms_other;
SELECT is((SELECT count(*) FROM memseries.tables)::int, 0, 'another role does not see the table');
SELECT is((SELECT count(*) FROM memseries.windows)::int, 0, '... nor its windows');
SELECT is((SELECT count(*) FROM memseries.series)::int, 0, '... nor its series');
SELECT throws_ok($$SELECT memseries.get_series('mine')$$, '42501', 'must be owner of table mine', '... also by function');
SELECT throws_ok('SELECT * FROM mine', '42501', NULL, '... nor its rows');
SELECT throws_ok('INSERT INTO mine VALUES (now(), NULL, 1)', '42501', NULL, '... does not insert');
SELECT throws_ok('TRUNCATE mine', '42501', NULL, '... does not truncate');
SELECT throws_ok($$SELECT memseries.configure('mine')$$, '42501', 'must be owner of table mine', '... does not configure');
SELECT throws_ok($$SECURITY LABEL FOR memseries ON TABLE mine IS 'retain=1'$$, '42501', 'must be owner of table mine', '... nor by label');
SELECT throws_ok($$SELECT memseries.expire('mine')$$, '42501', 'must be owner of table mine', '... does not expire');
SELECT throws_ok($$SELECT memseries.delete_samples('mine', NULL, NULL)$$, '42501', 'must be owner of table mine', '... does not delete');
RESET ROLE;
GRANT SELECT, INSERT, DELETE ON mine TO ms_other, ms_files;
SET ROLE ms_other;
SELECT is((SELECT count(*) FROM mine)::int, 1, 'granted, it reads');
SELECT lives_ok($$INSERT INTO mine VALUES ('2024-01-02', 'c', 3)$$, '... and inserts');
SELECT throws_ok($$SELECT memseries.delete_samples('mine', NULL, NULL)$$, '42501', NULL, 'but deleting samples is for owners');

-- Who may touch files still needs to own the table.
SET ROLE ms_files;
SELECT throws_ok($$SELECT memseries.dump_table('mine', '/tmp/x')$$, '42501', 'must be owner of table mine', 'files, but not the table');

-- Who watches.
SET ROLE ms_watcher;
SELECT is((SELECT count(*) FROM memseries.tables)::int, 1, 'pg_monitor sees all tables');
SELECT is((SELECT count(*) FROM memseries.windows)::int, 2, '... all windows');
SELECT is((SELECT count(*) FROM memseries.series)::int, 3, '... all series, a deleted one until that is folded');
SELECT is((SELECT count(*) FROM memseries.memory)::int, 1, '... memory');
SELECT is((SELECT count(*) FROM memseries.workers)::int, 2, '... workers');
SELECT ok((SELECT count(*) FROM memseries.size_classes) > 10, '... size classes');
SELECT throws_ok('SELECT * FROM mine', '42501', NULL, 'but no rows');
SELECT throws_ok($$SELECT memseries.expire('mine')$$, '42501', NULL, '... and changes nothing');

-- Who looks at series does not lend his rights to a function of their owner.
SET ROLE ms_owner;
CREATE TYPE color AS ENUM ('red');
CREATE FUNCTION to_json_as(color) RETURNS json LANGUAGE sql AS 'SELECT to_json(current_user::text)';
CREATE CAST (color AS json) WITH FUNCTION to_json_as(color);
CREATE TABLE colored (ts timestamptz NOT NULL, c color, v float8) USING memseries;
INSERT INTO colored VALUES (now(), 'red', 1);
SET ROLE ms_watcher;
SELECT is((SELECT (labels->>'c') || ' ' || current_user FROM memseries.series WHERE labels ? 'c'),
	'ms_owner ms_watcher', 'casts of labels run as the owner of the table');
RESET ROLE;
DROP TABLE colored;

-- Row-level security.
ALTER TABLE mine ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_a ON mine USING (host = 'a');
SET ROLE ms_other;
SELECT results_eq('SELECT host FROM mine', $$VALUES ('a')$$, 'policies hide rows');
RESET ROLE;
ALTER TABLE mine FORCE ROW LEVEL SECURITY;
SET ROLE ms_owner;
SELECT results_eq('SELECT host FROM mine', $$VALUES ('a')$$, '... from the owner too, if forced');
SELECT throws_ok($$SELECT memseries.delete_samples('mine', NULL, NULL)$$, '42501',
	'row-level security applies to table "mine"', '... who then cannot delete samples past them');
RESET ROLE;
SELECT lives_ok($$SELECT memseries.delete_samples('mine', NULL, NULL, 'false')$$, 'superusers bypass policies');
GRANT pg_write_server_files TO ms_owner;
SET ROLE ms_owner;
SELECT throws_ok($$SELECT memseries.dump_table('mine', '/tmp/x')$$, '42501',
	'row-level security applies to table "mine"', 'nor dump past them');
RESET ROLE;
GRANT EXECUTE ON FUNCTION memseries.check(regclass) TO ms_owner;
SET ROLE ms_owner;
SELECT throws_ok('SELECT memseries.check()', '42501', 'only superusers may call memseries.check', 'the check is for superusers, whatever is granted');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
