# A restart brings everything back: sealed, open and unfolded data, prepared transactions, every kind of value.
#
# Each memseries table has a heap twin that was given the same rows; after each restart both must read the
# same, and memory must pass its checks.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = MemseriesNode->start('restart', conf => "memseries.keeper_naptime = '1h'\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

my @tables = qw(plain unlog lots tiny);

sub same
{
	my $when = shift;
	for my $t (@tables)
	{
		my $heap = sql("SELECT * FROM ${t}_heap ORDER BY ${t}_heap::text COLLATE \"C\"");
		my $ours = sql("SELECT * FROM $t ORDER BY $t\::text COLLATE \"C\"");
		is($ours, $heap, "$t: same rows as the heap twin $when");
	}
	is(sql('SELECT * FROM memseries.check()'), '', "memory passes its checks $when");
}

# Runs the same command for a table and its twin; %t stands for the name.
sub both
{
	my ($t, $command) = @_;
	for my $name ($t, "${t}_heap")
	{
		(my $c = $command) =~ s/%t/$name/g;
		sql($c);
	}
}

my $columns = '(ts timestamptz NOT NULL, host text, dev int, u uuid, v float8, w real)';
sql("CREATE TABLE plain $columns USING memseries");
sql("CREATE TABLE plain_heap $columns");
sql("CREATE UNLOGGED TABLE unlog $columns USING memseries");
sql("CREATE TABLE unlog_heap $columns");
sql("CREATE TABLE lots (ts timestamptz NOT NULL, a text, b text, v float8) USING memseries");
sql("CREATE TABLE lots_heap (ts timestamptz NOT NULL, a text, b text, v float8)");
sql("CREATE TABLE tiny (ts timestamptz NOT NULL, n int, v float8) USING memseries");
sql("CREATE TABLE tiny_heap (ts timestamptz NOT NULL, n int, v float8)");
sql("SELECT memseries.configure('tiny', chunk_interval => '1 second', retain => NULL)");

# a fixed point in time, so that both twins get the same, well within the current windows
my $t0 = sql("SELECT date_trunc('second', now() - interval '1 hour')");

# ---- unfolded: the keeper comes round for much at once, but has no reason to for a little ----
both('lots', qq(INSERT INTO %t SELECT '$t0', 'a' || i, md5(i::text), i FROM generate_series(1, 20000) i));
ok($node->poll_query_until('postgres', 'SELECT sum(runs) = 0 FROM memseries.tables'), 'a large run is folded');
both('plain', qq(INSERT INTO %t VALUES
	('$t0', NULL, NULL, NULL, 'NaN', 1.5), ('$t0', '', 0, NULL, '-0', '-0'), ('$t0', 'a', 1, NULL, 'Infinity', NULL),
	('$t0', 'a', 2, '00000000-0000-0000-0000-000000000001', NULL, 'NaN'),
	('$t0', repeat('long ', 5000), -1, NULL, 5e-324, 1e-45)));
both('plain', qq(INSERT INTO %t SELECT timestamptz '$t0' + i * interval '1 s', 'h' || i % 7, i % 3, NULL, sin(i), i FROM generate_series(1, 2000) i));
both('unlog', qq(INSERT INTO %t SELECT timestamptz '$t0' + i * interval '3 s', 'h' || i % 7, i % 3, NULL, cos(i), NULL FROM generate_series(1, 500) i));
ok(sql('SELECT sum(runs) FROM memseries.tables') > 0, 'there are unfolded runs');
same('before the first restart');
$node->restart;
same('after a restart with unfolded runs');
$node->stop('smart');
$node->start;
same('after a smart stop');

# ---- rolled back and unfinished transactions ----
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN');
$session->query_safe("INSERT INTO plain SELECT '$t0', 'open', i, NULL, 1, 1 FROM generate_series(1, 100) i");
$session->query_safe('SELECT count(*) FROM plain');	# which writes them
sql("BEGIN; INSERT INTO plain VALUES ('$t0', 'rolled back', 1, NULL, 1, 1); SELECT count(*) FROM plain; ROLLBACK");

# ---- prepared ones ----
sql("BEGIN; INSERT INTO plain VALUES ('$t0', 'prepared', 1, NULL, 1, 1), ('$t0', 'a', 1, NULL, 777, 7); PREPARE TRANSACTION 'one'");
sql("BEGIN; SAVEPOINT s; INSERT INTO lots VALUES ('$t0', 'prepared', NULL, 1); RELEASE s; PREPARE TRANSACTION 'two'");
$node->stop('fast');
eval { $session->quit };
$node->start;
same('after a restart with transactions open, rolled back and prepared');
sql("COMMIT PREPARED 'one'");
sql("INSERT INTO plain_heap VALUES ('$t0', 'prepared', 1, NULL, 1, 1)");
sql("UPDATE plain_heap SET v = 777, w = 7 WHERE host = 'a' AND dev = 1");
same('after COMMIT PREPARED of one of them');
$node->restart;
same('after another restart');
sql("ROLLBACK PREPARED 'two'");
same('after ROLLBACK PREPARED of the other');

# ---- folded, sealed, several windows; the last write wins over a restart too ----
$node->append_conf('postgresql.conf', "memseries.keeper_naptime = '100ms'\n");
$node->reload;
both('plain', qq(INSERT INTO %t VALUES ('$t0', 'rewritten', 1, NULL, 1, 1)));
both('tiny', qq(INSERT INTO %t SELECT timestamptz '$t0' + i * interval '100 ms', i % 10, i FROM generate_series(1, 200) i));
ok($node->poll_query_until('postgres', 'SELECT sum(runs) = 0 FROM memseries.tables'), 'the keeper folds everything');
ok($node->poll_query_until('postgres',
		"SELECT windows > 15 AND windows = sealed_windows FROM memseries.tables WHERE relation = 'tiny'::regclass"),
	'and seals what is over');
same('after folding and sealing');
# a restart forgets series without samples, such as the one rolled back; the keeper takes longer
$node->restart;
# rows wait until all is restored, figures tell how far it is, and how far the keeper
same('after a restart');
MemseriesNode::settle($node) or die 'the keeper does not settle';
my $figures = q(SELECT relation, series, windows, sealed_windows, samples, allocated_bytes FROM memseries.tables ORDER BY 1);
my $before = sql($figures);
$node->restart;
same('after a restart with sealed windows');
is(sql($figures), $before, 'with the same windows, samples and allocated memory');
sql("INSERT INTO plain VALUES ('$t0', 'rewritten', 1, NULL, 2, 2)");
sql("UPDATE plain_heap SET v = 2, w = 2 WHERE host = 'rewritten'");
same('after a sample was written again');
$node->restart;
same('after yet another restart');

# ---- columns come and go ----
both('plain', 'ALTER TABLE %t ADD COLUMN x float8');
both('plain', 'ALTER TABLE %t ADD COLUMN l text');
both('plain', 'ALTER TABLE %t ADD COLUMN y float8 DEFAULT 4.5');
both('plain', qq(INSERT INTO %t VALUES ('$t0', 'new', 1, NULL, 1, 1, 2, 'label', 3)));
both('plain', 'ALTER TABLE %t DROP COLUMN v');
$node->restart;
same('after columns were added and dropped');
both('plain', qq(INSERT INTO %t (ts, host, x, l) VALUES ('$t0', 'newer', 5, 'label')));
same('and they still work');

# ---- settings come back before anybody names the table ----
sql("SELECT memseries.configure('lots', chunk_interval => '8 hours', retain => 3, max_series => 20005, on_full => 'expire')");
$node->restart;
is(sql("SELECT * FROM memseries.configure('lots')"), '08:00:00|3|error|expire|20005', 'settings are back');

# ---- truncated, dropped, emptied ----
sql('TRUNCATE unlog');
sql('TRUNCATE unlog_heap');
sql('DROP TABLE lots, lots_heap');
@tables = qw(plain unlog tiny);
$node->restart;
same('after TRUNCATE and DROP');
is(sql("SELECT count(*) FROM pg_ls_dir('memseries') f WHERE f !~ '\\.window\$'"), 0, 'only snapshot files lie in the folder');

$node->stop;
done_testing();
