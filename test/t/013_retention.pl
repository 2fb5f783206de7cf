# Windows expire by the clock and their memory returns; so does the memory of tables whose storage goes, however
# it goes; and what is expired or dropped does not come back with a restart.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = MemseriesNode->start('retention', conf => q(
memseries.keeper_naptime = '50ms'
max_prepared_transactions = 10
checkpoint_timeout = 1h
));

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $in_use = 'SELECT in_use_bytes FROM memseries.memory';

sub in_use { return sql($in_use); }

sub files { return sql("SELECT count(*) FROM pg_ls_dir('memseries') f WHERE f ~ '^[0-9]'"); }

my $columns = '(ts timestamptz NOT NULL, k int, v float8)';
my $empty = in_use();	# what the arena needs for itself

# All memory comes back; the sweep for lost storage runs every few seconds.
sub returns
{
	my $what = shift;
	ok($node->poll_query_until('postgres', "SELECT in_use_bytes = $empty FROM memseries.memory"), "$what: memory returns")
	  or diag('in use: ' . in_use());
}

# ---- by the clock ----

# Windows of a second: they are kept until all is seen that there is to see of them.
sql("CREATE TABLE short $columns USING memseries");
sql("SELECT memseries.configure('short', chunk_interval => '1 second', retain => NULL)");
sql('INSERT INTO short SELECT now() - i * interval \'100 ms\', k, i FROM generate_series(0, 20) i, generate_series(1, 500) k');
ok(in_use() > $empty, 'memory is in use');
my $sealed = $node->poll_query_until('postgres', "SELECT sealed_windows > 0 FROM memseries.tables WHERE relation = 'short'::regclass");
ok($sealed, 'windows are sealed');
sql('SELECT memseries.snapshot()');
ok(files() > 0, 'there are files');
sql("SELECT memseries.configure('short', retain => 4)");
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM short'), 'all windows expire');
ok($node->poll_query_until('postgres',
		"SELECT (windows, series, samples, runs, expired_windows > 1) = (0, 0, 0, 0, true) FROM memseries.tables WHERE relation = 'short'::regclass"),
	'and so do the series');
sql('SELECT memseries.snapshot()');
is(files(), 0, 'the next snapshot removes the files');
ok(in_use() < $empty + 65536, 'memory returns, but for the table itself');

# ---- past retention while the server is down ----
#
# An unlogged window is not even read again; a logged one is, to expire with a WAL record for standbys.

sql("CREATE UNLOGGED TABLE short_unlogged $columns USING memseries");
sql("SELECT memseries.configure('$_', chunk_interval => '1 second', retain => NULL)") for qw(short short_unlogged);
sql("INSERT INTO $_ SELECT now() - i * interval '100 ms', k, i FROM generate_series(0, 20) i, generate_series(1, 500) k")
  for qw(short short_unlogged);
sql("CREATE UNLOGGED TABLE long $columns USING memseries; INSERT INTO long VALUES (now(), 1, 1)");
sql("SELECT memseries.configure('$_', retain => 4)") for qw(short short_unlogged);
$node->stop;
ok(scalar(glob($node->data_dir . '/memseries/*.window')), 'files are written');
sleep(6);
$node->start;
is(sql('SELECT (SELECT count(*) FROM short_unlogged), (SELECT count(*) FROM long)'), '0|1',
	'what is past retention at the start is not restored');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM short'), 'or expires at once');
sql('SELECT memseries.snapshot()');
is(files(), 1, 'and its files are removed');

# ---- expired by hand, for good: an unlogged table with the next snapshot, a logged one with the next commit ----

sql("CREATE TABLE logged $columns USING memseries");
sql("INSERT INTO $_ SELECT now() - i * interval '4 hours', 2, 2 FROM generate_series(1, 7) i") for qw(long logged);
sql("INSERT INTO logged VALUES (now(), 1, 1)");
sql('SELECT memseries.snapshot()');
is(files(), 16, 'twice eight windows, as many files');
is(sql("SELECT memseries.expire('$_', now() + interval '8 hours')"), 2, "expire $_ by hand") for qw(long logged);
sql('CREATE TABLE flush ()');
$node->stop('immediate');
$node->start;
is(sql('SELECT (SELECT count(*) FROM long), (SELECT count(*) FROM logged)'), '8|6', 'after a crash');
is(sql("SELECT memseries.expire('long', now() + interval '8 hours')"), 2, 'expired again');
sql('SELECT memseries.snapshot()');
is(files(), 12, 'the snapshot removes their files at once');
$node->stop('immediate');
$node->start;
is(sql('SELECT (SELECT count(*) FROM long), (SELECT count(*) FROM logged)'), '6|6', 'and so they do not come back');

# ---- dropped, in every way there is ----

sql('DROP TABLE short, short_unlogged, long, logged');
returns('DROP TABLE');

my $make = sub {
	my $name = shift;
	return "CREATE TABLE $name $columns USING memseries; INSERT INTO $name SELECT now(), k, k FROM generate_series(1, 20000) k;";
};
sql('BEGIN; ' . $make->('r') . ' SELECT count(*) FROM r; ROLLBACK');
returns('CREATE and ROLLBACK');

sql('BEGIN; SAVEPOINT s; ' . $make->('r') . ' SELECT count(*) FROM r; ROLLBACK TO s; COMMIT');
returns('CREATE and ROLLBACK TO');

sql($make->('r'));
my $full = in_use();
ok($full > $empty + 500000, 'a table uses memory');
sql('TRUNCATE r');
ok($node->poll_query_until('postgres', "SELECT in_use_bytes < $empty + 65536 FROM memseries.memory"), 'TRUNCATE: memory returns');
sql('INSERT INTO r SELECT now(), k, k FROM generate_series(1, 20000) k');
sql('BEGIN; TRUNCATE r; INSERT INTO r VALUES (now(), 1, 1); SELECT count(*) FROM r; ROLLBACK');
is(sql('SELECT count(*) FROM r'), 20000, 'TRUNCATE and ROLLBACK keeps the rows');
sql('VACUUM FULL r');
is(sql('SELECT count(*) FROM r'), 20000, 'VACUUM FULL keeps the rows');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM memseries.tables'), 'and leaves one copy');

# a rewrite gives the data a new name; the old file goes one snapshot later than the new one comes
sql('SELECT memseries.snapshot()') for 1 .. 3;	# rid of those above
my ($old) = glob($node->data_dir . '/memseries/*.window');
sql('VACUUM FULL r');
sql('SELECT memseries.snapshot()');
is(files(), 2, 'after a rewrite, the first snapshot keeps the old file beside the new one');
ok(-e $old, 'which is still there');
sql('SELECT memseries.snapshot()');
is(files(), 1, 'the second removes it');
ok(!-e $old, 'the right one');

# what nobody tells us: COMMIT PREPARED of a DROP, and DROP DATABASE; files vanish with the next checkpoint
sql("BEGIN; DROP TABLE r; PREPARE TRANSACTION 'd'");
sql("COMMIT PREPARED 'd'");
sql('CHECKPOINT');
returns('COMMIT PREPARED of a DROP');

sql("BEGIN; " . $make->('p') . " PREPARE TRANSACTION 'c'");
sql("ROLLBACK PREPARED 'c'");
sql('CHECKPOINT');
returns('ROLLBACK PREPARED of a CREATE');

sql('SELECT memseries.snapshot()') for 1 .. 2;
sql('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION memseries; ' . $make->('o') . ' SELECT memseries.snapshot()');
is(files(), 1, 'a table of another database has its file');
sql('DROP DATABASE other');
returns('DROP DATABASE');
sql('SELECT memseries.snapshot()');
sql('SELECT memseries.snapshot()');
is(files(), 0, 'and its file goes');

# the same at a restart: no memory, no file
sql($make->('q') . ' SELECT memseries.snapshot()');
sql("BEGIN; DROP TABLE q; PREPARE TRANSACTION 'd'");
sql("COMMIT PREPARED 'd'");
$node->stop('immediate');
$node->start;
returns('a table dropped before a crash');
sql('SELECT memseries.snapshot()') for 1 .. 2;
is(files(), 0, 'and its file goes');
sql($make->('q') . ' SELECT memseries.snapshot()');
is(files(), 1, 'a table has its file');
my ($file) = glob($node->data_dir . '/memseries/*.window');
my $image = slurp_file($file);
sql('DROP TABLE q');
$node->stop;
append_to_file($file, $image);
$node->start;
returns('a file without its table');
ok(!-e $file, 'is removed');

is(sql('SELECT * FROM memseries.check()'), '', 'memory passes its checks');
$node->stop;
done_testing();
