# After a crash an unlogged table is as of its last completed snapshot: nothing older is missing, no transaction is
# there in part, and nothing is there that was not committed.  A logged one has all that was committed.
#
# Transactions write the same rows to memseries tables and to a heap table, which WAL brings back whole.  So the
# heap table tells what was committed, and a note taken before a snapshot what it must contain.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $seed = $ENV{MEMSERIES_SEED} || time;
srand($seed);
note("MEMSERIES_SEED=$seed");

my $node = MemseriesNode->start('crash', conf => q(
memseries.keeper_naptime = '50ms'
restart_after_crash = on
max_prepared_transactions = 100
));

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub guard_rounds { return sql("SELECT rounds FROM memseries.workers WHERE worker = 'guard'"); }

# ---- one step at a time ----

sql(q(
	CREATE TABLE t (ts timestamptz NOT NULL, who text, v float8) USING memseries;
	CREATE UNLOGGED TABLE u (ts timestamptz NOT NULL, who text, v float8) USING memseries;
));
my $insert = sub {
	my $who = shift;
	return join ';', map { "INSERT INTO $_ SELECT now() - i * interval '1 minute', '$who', i FROM generate_series(1, 3) i" } qw(t u);
};
my $who = 'SELECT (SELECT string_agg(DISTINCT who, $$ $$ ORDER BY who) FROM t), (SELECT string_agg(DISTINCT who, $$ $$ ORDER BY who) FROM u)';

sql($insert->('first'));
sql('BEGIN; ' . $insert->('prepared') . "; PREPARE TRANSACTION 'p'");
sql('BEGIN; ' . $insert->('undone') . "; PREPARE TRANSACTION 'q'");
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; ' . $insert->('open'));
$session->query_safe('SELECT count(*) FROM t');	# writes what is buffered
sql('SELECT memseries.snapshot()');
$session->query_safe('COMMIT');
$session->quit;
sql($insert->('later'));
sql("COMMIT PREPARED 'p'");
is(sql($who), 'first later open prepared|first later open prepared', 'before the crash');
$node->stop('immediate');
$node->start;
is(sql($who), 'first later open prepared|first prepared', 'after it: all; what was committed or prepared at the snapshot');
sql("ROLLBACK PREPARED 'q'");
is(sql($who), 'first later open prepared|first prepared', 'a transaction prepared before the crash can be rolled back after it');
is(sql('SELECT * FROM memseries.check()'), '', 'memory passes its checks');

# xids of before the crash are used again; what they wrote must not come to life
sql('SELECT pg_current_xact_id()') for 1 .. 20;
sql($insert->('second'));
is(sql($who), 'first later open prepared second|first prepared second', 'transactions of before the crash stay dead');

# a run that was left out of one snapshot is in the next, though its window did not change
$session = $node->background_psql('postgres');
$session->query_safe('BEGIN; ' . $insert->('slow'));
$session->query_safe('SELECT count(*) FROM t');
sql('SELECT memseries.snapshot()');
$session->query_safe('COMMIT');
$session->quit;
sql('SELECT memseries.snapshot()');
$node->stop('immediate');
$node->start;
is(sql($who), 'first later open prepared second slow|first prepared second slow', 'what one snapshot left out the next has');

# ---- checkpoints take snapshots, announced in the log or not ----

for my $log ('on', 'off')
{
	$node->append_conf('postgresql.conf', "log_checkpoints = $log\n");
	$node->reload;
	sql($insert->("logged_$log"));
	my $rounds = guard_rounds();
	sql('CHECKPOINT');
	ok($node->poll_query_until('postgres', "SELECT rounds > $rounds AND state = 'idle' FROM memseries.workers WHERE worker = 'guard'"),
		"a checkpoint takes a snapshot with log_checkpoints = $log");
	$node->stop('immediate');
	$node->start;
	like(sql($who), qr/logged_$log.*logged_$log/, 'and it counts');
}

# ---- under load ----

sql(q(
	CREATE UNLOGGED TABLE a (ts timestamptz NOT NULL, tx bigint, v float8) USING memseries;
	SELECT memseries.configure('a', chunk_interval => '1 second', retain => NULL);
	CREATE UNLOGGED TABLE b (ts timestamptz NOT NULL, tx bigint, v float8) USING memseries;
	CREATE TABLE heap (tx bigint);
	CREATE TABLE known (tx bigint);
	CREATE SEQUENCE seq;
));
my $script = $node->basedir . '/load.sql';
append_to_file($script, q(
\set kind random(1, 5)
SET synchronous_commit = off;
SELECT nextval('seq') AS tx \gset
BEGIN;
INSERT INTO a SELECT clock_timestamp() - i * interval '700 ms', :tx, i FROM generate_series(0, 3) i;
\if :kind = 1
SELECT count(*) FROM a WHERE tx = -1;
SAVEPOINT s;
INSERT INTO b SELECT clock_timestamp() - i * interval '700 ms', :tx, i FROM generate_series(0, 3) i;
ROLLBACK TO s;
\endif
INSERT INTO b SELECT clock_timestamp() - i * interval '700 ms', :tx, i FROM generate_series(0, 3) i;
INSERT INTO heap VALUES (:tx);
\if :kind = 2
ROLLBACK;
\elif :kind = 3
PREPARE TRANSACTION 'p:client_id';
COMMIT PREPARED 'p:client_id';
\else
COMMIT;
\endif
));
my ($load_out, $load_err);
my $base = 0;			# transactions up to this had their chance

sub start_load
{
	($load_out, $load_err) = ('', '');
	my $before = sql('SELECT count(*) FROM heap');
	my @command = ('pgbench', '-n', '-c', 5, '-j', 2, '-T', 60, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres');
	my $load = start(\@command, '<', \undef, '>', \$load_out, '2>', \$load_err);
	ok($node->poll_query_until('postgres', "SELECT count(*) > $before + 300 FROM heap"), 'rows arrive');
	return $load;
}

# A snapshot that has to have what is known before it.
sub snapshot
{
	sql("INSERT INTO known SELECT tx FROM heap WHERE tx > $base EXCEPT SELECT tx FROM known");
	sql('SELECT memseries.snapshot()');
}

sub check
{
	my ($when, $whole) = @_;
	# transactions left prepared may have their heap row or not yet: end them first
	sql("COMMIT PREPARED '$_'") for split /\n/, sql('SELECT gid FROM pg_prepared_xacts');
	for my $t (qw(a b))
	{
		is(sql("SELECT count(*) FROM known WHERE tx NOT IN (SELECT tx FROM $t)"), 0, "$t has what it must have $when");
		is(sql("SELECT count(DISTINCT tx) FROM $t WHERE tx NOT IN (SELECT tx FROM heap)"), 0, "$t has no ghosts $when");
		is(sql("SELECT count(*) FROM (SELECT tx FROM $t GROUP BY tx HAVING count(*) <> 4) x"), 0, "$t has no halves $when") if $whole;
	}
	is(sql('SELECT count(*) FROM (SELECT DISTINCT tx FROM a EXCEPT SELECT DISTINCT tx FROM b) x'), 0, "nothing is in one table only $when")
	  if $whole;
	is(sql('SELECT * FROM memseries.check()'), '', "memory passes its checks $when");
	# what the crash took is not expected any more
	sql('TRUNCATE known; INSERT INTO known SELECT tx FROM a INTERSECT SELECT tx FROM b');
	$base = sql("SELECT nextval('seq')");
}

# The server stops right after a snapshot is complete, so all of it counts.
for my $round (1 .. 3)
{
	my $load = start_load();
	snapshot();
	usleep(rand(200000));
	snapshot();
	$node->stop('immediate');
	$load->finish;
	$node->start;
	check("after immediate stop $round", 1);
}

# Any process may be killed at any moment, also while a snapshot or a fold is under way.  Files in place are then from
# two rounds, so transactions that ended between these may be there in part.
my @victims = qw(guard keeper backend guard keeper backend checkpointer);
for my $victim (@victims)
{
	my $load = start_load();
	snapshot();
	my $pid = $victim =~ /guard|keeper/ ? sql("SELECT pid FROM memseries.workers WHERE worker = '$victim'") :
	  sql("SELECT pid FROM pg_stat_activity WHERE " .
		  ($victim eq 'backend' ? "backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1" : "backend_type = '$victim'"));
	my ($out, $err) = ('', '');
	# another snapshot is likely to be under way
	my $snap = start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'SELECT memseries.snapshot()' ],
		'<', \undef, '>', \$out, '2>', \$err);
	usleep(rand(60000));
	kill('KILL', $pid);
	$snap->finish;
	$load->finish;
	$node->poll_query_until('postgres', 'SELECT true') or BAIL_OUT('the server does not come back');
	$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM memseries.workers WHERE state = 'idle'");
	check("after a kill of a $victim", 0);
}

# ---- the postmaster killed: the guard saves what there is, and nobody lingers ----

my $load = start_load();
snapshot();
my @pids = MemseriesNode::kill_postmaster($node->{_pid});
$node->kill9;
$load->finish;
for (1 .. 1800)
{
	last unless @pids = grep { kill(0, $_) } @pids;
	usleep(100000);
}
is(scalar(@pids), 0, 'all processes end after their postmaster was killed');
$node->start;
check('after a kill of the postmaster', 0);

$node->stop;
done_testing();
