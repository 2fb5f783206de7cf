# An orderly stop under write load loses nothing that was committed, and brings back nothing that was not.
#
# Clients write the same rows to a memseries table and to a heap table in each transaction, in one statement or
# several, with savepoints, rollbacks, and prepared transactions left behind; some of them without waiting for
# WAL.  The server is stopped under them, again and again.  After each start both tables must hold the same.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = MemseriesNode->start('load', conf => "memseries.keeper_naptime = '50ms'\nmax_prepared_transactions = 100\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $rounds = $ENV{MEMSERIES_ROUNDS} || 6;

# Windows of a second, so that many are written, folded and sealed at any moment.
sql(q(
	CREATE TABLE ours (ts timestamptz NOT NULL, client int, n bigint, v float8) USING memseries;
	SELECT memseries.configure('ours', chunk_interval => '1 second', retain => NULL);
	CREATE TABLE wide (ts timestamptz NOT NULL, client int, n bigint, v float8) USING memseries;
	CREATE TABLE heap (LIKE ours);
	CREATE TABLE wide_heap (LIKE wide);
	CREATE SEQUENCE seq;
));

# A transaction's rows lie in several windows of both tables.
my $insert = q(
	WITH r AS (SELECT clock_timestamp() - i * interval '700 ms' AS ts, i, :n + i AS n FROM generate_series(0, 4) i),
		a AS (INSERT INTO ours SELECT ts, :client_id, n, i FROM r),
		b AS (INSERT INTO heap SELECT ts, :client_id, n, i FROM r),
		c AS (INSERT INTO wide SELECT ts, :client_id, n, i FROM r)
	INSERT INTO wide_heap SELECT ts, :client_id, n, i FROM r;
);
my $n = "SELECT nextval('seq') * 1000 AS n \\gset\n";
my $script = $node->basedir . '/load.sql';
append_to_file($script, qq(
\\set kind random(1, 8)
SET synchronous_commit = off;
\\if :kind < 4
SET synchronous_commit = on;
\\endif
$n
\\if :kind = 1
$insert
\\elif :kind = 2
BEGIN;
$insert
ROLLBACK;
\\elif :kind = 3
BEGIN;
$insert
SELECT count(*) FROM ours WHERE client = -1;
SAVEPOINT s;
$n
$insert
ROLLBACK TO s;
$n
$insert
COMMIT;
\\elif :kind = 4
BEGIN;
$insert
SELECT count(*) FROM wide WHERE client = -1;
$n
$insert
COMMIT;
\\elif :kind = 5
BEGIN;
$insert
PREPARE TRANSACTION 'p:client_id';
COMMIT PREPARED 'p:client_id';
\\elif :kind = 6
BEGIN;
$insert
PREPARE TRANSACTION 'q:client_id';
ROLLBACK PREPARED 'q:client_id';
\\else
$insert
\\endif
));


sub compare
{
	my $when = shift;
	for my $pair (['ours', 'heap'], ['wide', 'wide_heap'])
	{
		my ($ours, $heap) = @$pair;
		my $lost = sql("SELECT count(*) FROM (SELECT * FROM $heap EXCEPT SELECT * FROM $ours) x");
		my $ghosts = sql("SELECT count(*) FROM (SELECT * FROM $ours EXCEPT SELECT * FROM $heap) x");
		is("$lost lost, $ghosts ghosts", '0 lost, 0 ghosts', "$ours $when");
	}
	is(sql('SELECT * FROM memseries.check()'), '', "memory passes its checks $when");
}

for my $round (1 .. $rounds)
{
	my $mode = $round % 3 == 0 ? 'smart' : 'fast';
	my ($out, $err) = ('', '');
	my $before = sql('SELECT count(*) FROM heap');
	my @command = ('pgbench', '-n', '-c', 6, '-j', 2, $mode eq 'smart' ? ('-t', 300) : ('-T', 600), '-f', $script,
		'-h', $node->host, '-p', $node->port, 'postgres');
	my $load = start(\@command, '<', \undef, '>', \$out, '2>', \$err);

	ok($node->poll_query_until('postgres', "SELECT count(*) > $before + 500 FROM heap"), "round $round: rows arrive");
	sql('CHECKPOINT') if $round % 2;
	$node->stop($mode);
	$load->finish;
	$node->start;

	# transactions left prepared by the stop end either way
	my $other = 0;
	for my $gid (split /\n/, sql('SELECT gid FROM pg_prepared_xacts'))
	{
		sql(($other++ % 2 ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'");
	}
	compare("after $mode stop $round");
	ok(sql('SELECT count(*) FROM heap') > $before, "round $round wrote something");
}

# ---- without any pause: a stop while the guard restores, and right after the start ----
$node->restart for 1 .. 3;
compare('after restarts in a row');

# ---- the guard terminated alone: writes are refused for a moment, and nothing is lost ----
my $guard = sql("SELECT pid FROM memseries.workers WHERE worker = 'guard'");
sql("SELECT pg_terminate_backend($guard)");
ok($node->poll_query_until('postgres', "SELECT pid <> $guard FROM memseries.workers WHERE worker = 'guard'"),
	'a terminated guard is replaced');
ok($node->poll_query_until('postgres', "SELECT state = 'idle' FROM memseries.workers WHERE worker = 'guard'"), 'and works');
sql("INSERT INTO ours VALUES (now(), -1, 0, 0)");
sql("INSERT INTO heap SELECT * FROM ours WHERE client = -1");
$node->restart;
compare('after the guard was terminated');

$node->stop;
done_testing();
