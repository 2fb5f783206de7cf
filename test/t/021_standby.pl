# A standby holds what its primary holds, however either of them stops, and can take over.
#
# Each logged memseries table has a heap twin with the same rows, which PostgreSQL replicates; on every server the two
# must be equal.  Some cases stop a process at a moment that chance would not find; what goes wrong without the rule
# that each of them is about is lost rows.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = MemseriesNode->start(
	'primary',
	init => { allows_streaming => 1 },
	conf => "max_prepared_transactions = 10\nmemseries.keeper_naptime = '50ms'\nwal_keep_size = 512MB\ncheckpoint_timeout = 1h\nwal_receiver_status_interval = 1s\n"
	  # what vacuum removes would end the transaction of a slow reader of the standby
	  . "autovacuum = off\n");

sub sql { my ($node, $query) = @_; return $node->safe_psql('postgres', $query); }

sql($primary, q(
	CREATE TABLE ours (ts timestamptz NOT NULL, host text, v float8) USING memseries;
	SELECT memseries.configure('ours', retain => NULL);
	CREATE TABLE heap (LIKE ours);
	CREATE UNLOGGED TABLE quick (ts timestamptz NOT NULL, host text, v float8) USING memseries;
));

my $time = 0;

# Statements that add rows to both tables.
sub rows
{
	my ($host, $n) = (shift, shift || 100);
	my $from = ($time += 1000);
	return join('', map { "INSERT INTO $_ SELECT timestamptz '2026-01-01' + ($from + i) * interval '1 s', '$host' || i % 5, i FROM generate_series(1, $n) i;" } 'ours', 'heap');
}

sub difference
{
	my $node = shift;
	return sql($node, q(
		SELECT (SELECT count(*) FROM (SELECT * FROM heap EXCEPT ALL SELECT * FROM ours) x) || ' lost, ' ||
			(SELECT count(*) FROM (SELECT * FROM ours EXCEPT ALL SELECT * FROM heap) x) || ' ghosts')) . sql($node, 'SELECT * FROM memseries.check()');
}

sub caught_up
{
	my ($from, $to) = @_;
	# what no commit waited for is flushed, too
	sql($from, "SELECT pg_logical_emit_message(true, '', '')") if sql($from, 'SELECT pg_is_in_recovery()') eq 'f';
	$from->wait_for_catchup($to, 'replay', $from->lsn(sql($from, 'SELECT pg_is_in_recovery()') eq 'f' ? 'insert' : 'replay'));
}

# After waiting for it, unless it is of its own.
sub same
{
	my ($node, $from, $what) = @_;
	caught_up($from, $node) if $from;
	is(difference($node), '0 lost, 0 ghosts', $what);
}

sub standby_of
{
	my ($of, $name, $conf) = @_;
	$of->backup($name);
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init_from_backup($of, $name, has_streaming => 1);
	$node->append_conf('postgresql.conf', $conf || '');
	$node->start;
	return $node;
}

sub shown { my ($node, $column) = @_; return sql($node, "SELECT $column FROM memseries.workers WHERE worker = 'guard'"); }

sql($primary, rows('before'));
my $standby = standby_of($primary, 'standby');
same($standby, $primary, 'a standby starts with what the backup has');

# ---- streaming ----

sql($primary, rows('streamed'));
same($standby, $primary, 'rows arrive');
sql($primary, 'BEGIN;' . rows('undone') . 'SELECT count(*) FROM ours; ROLLBACK');
sql($primary, 'BEGIN;' . rows('top') . 'SAVEPOINT a;' . rows('sub') . 'SELECT count(*) FROM ours; ROLLBACK TO a;' . rows('sub2') . 'SAVEPOINT b;' . rows('sub3') . 'RELEASE b; COMMIT');
sql($primary, 'BEGIN;' . join('', map { "SAVEPOINT s$_;" . rows('deep', 3) } 1 .. 100) . 'COMMIT');
same($standby, $primary, 'subtransactions, rolled back or not');

my $session = $primary->background_psql('postgres');
$session->query_safe('BEGIN;' . rows('open') . 'SAVEPOINT s;' . rows('open sub') . 'RELEASE s; SELECT count(*) FROM ours');
my $reader = $standby->background_psql('postgres');
caught_up($primary, $standby);
is(sql($standby, "SELECT count(*) FROM ours WHERE host LIKE 'open%'"), 0, 'what is not committed is not seen');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($reader->query_safe("SELECT count(*) FROM ours WHERE host LIKE 'open%'"), 0, 'nor by a snapshot');
$session->query_safe('COMMIT');
$session->quit;
same($standby, $primary, 'once it is, it is');
is($reader->query_safe("SELECT count(*) FROM ours WHERE host LIKE 'open%'"), 0, 'but not by the older snapshot');
$reader->quit;

# ---- synchronous commit ----

sql($primary, "ALTER SYSTEM SET synchronous_standby_names = 'standby'; ALTER SYSTEM SET synchronous_commit = remote_apply");
$primary->reload;
ok($primary->poll_query_until('postgres', "SELECT sync_state = 'sync' FROM pg_stat_replication"), 'synchronous');
my $ok = 1;
for (1 .. 20)
{
	sql($primary, rows('applied', 5));
	$ok &&= difference($standby) eq '0 lost, 0 ghosts' && sql($standby, 'SELECT count(*) FROM heap') eq sql($primary, 'SELECT count(*) FROM ours');
}
ok($ok, 'remote_apply: what is committed is there at once');
sql($primary, "ALTER SYSTEM RESET ALL");
$primary->reload;

# ---- definitions ----

sql($primary, q(
	CREATE TABLE dropped (ts timestamptz, v float8) USING memseries;
	INSERT INTO dropped VALUES (now(), 1);
	CREATE TABLE cut (ts timestamptz, v float8) USING memseries;
	INSERT INTO cut SELECT now() - i * interval '1 s', i FROM generate_series(1, 10) i;
));
caught_up($primary, $standby);
is(sql($standby, 'SELECT (SELECT count(*) FROM dropped), (SELECT count(*) FROM cut)'), '1|10', 'tables arrive');
sql($primary, 'DROP TABLE dropped; TRUNCATE cut; INSERT INTO cut VALUES (now(), 1)');
sql($primary, 'BEGIN; TRUNCATE cut; INSERT INTO cut VALUES (now(), 2); SELECT count(*) FROM cut; ROLLBACK');
sql($primary, 'BEGIN; ALTER TABLE cut ADD COLUMN gone float8 DEFAULT 3; INSERT INTO cut VALUES (now(), 1, 1); SELECT count(*) FROM cut; ROLLBACK');
sql($primary, 'ALTER TABLE cut ADD COLUMN w float8 DEFAULT 7');
caught_up($primary, $standby);
is(sql($standby, 'SELECT v, w FROM cut'), '1|7', 'TRUNCATE, ADD COLUMN; a reader sees the column before a row has it');
sql($primary, 'INSERT INTO cut VALUES (now() - interval $$1 min$$, 4, 5)');
caught_up($primary, $standby);
is(sql($standby, 'SELECT v, w FROM cut ORDER BY ts'), "4|5\n1|7", 'and after');
my $entries = 'SELECT count(*) FROM memseries.tables';
is(sql($standby, $entries), sql($primary, $entries), 'as many tables');

$primary->safe_psql('postgres', 'CREATE DATABASE other');
$primary->safe_psql('other', 'CREATE EXTENSION memseries; CREATE TABLE o (ts timestamptz, v float8) USING memseries; INSERT INTO o VALUES (now(), 1)');
caught_up($primary, $standby);
is($standby->safe_psql('other', 'SELECT count(*) FROM o'), 1, 'another database');
sql($primary, 'DROP DATABASE other');
same($standby, $primary, 'is dropped');

# the primary says what expires; the standby, left alone, would know the settings as well
sql($primary, "CREATE TABLE short (ts timestamptz, v float8) USING memseries;"
	  . "SELECT memseries.configure('short', chunk_interval => '1 second', retain => 2); INSERT INTO short VALUES (now(), 1)");
caught_up($primary, $standby);
ok($primary->poll_query_until('postgres', 'SELECT count(*) = 0 FROM short'), 'a window expires');
caught_up($primary, $standby);
is(sql($standby, 'SELECT count(*) FROM short'), 0, 'on the standby, too');

# ---- the last committed write wins, on both, whoever folds when ----

# A prepared transaction took its number first; the other one began before, so it can be folded meanwhile.  Then the
# prepared one comes after it, wherever it is folded.
sql($primary, 'CREATE TABLE last (ts timestamptz, v float8) USING memseries');
my $at = sql($primary, 'SELECT now()');
my $v = 'SELECT v FROM last';
for my $folded (0, 1)
{
	$session = $primary->background_psql('postgres');
	$session->query_safe("BEGIN; INSERT INTO last VALUES ('$at', 2); $v");
	sql($primary, "BEGIN; INSERT INTO last VALUES ('$at', 1); PREPARE TRANSACTION 'last'");
	kill('STOP', sql($primary, "SELECT pid FROM memseries.workers WHERE worker = 'keeper'")) if !$folded;
	$session->query_safe('COMMIT');
	$session->quit;
	$primary->poll_query_until('postgres', "SELECT runs = 1 FROM memseries.tables WHERE relation = 'last'::regclass") or die 'not folded' if $folded;
	caught_up($primary, $standby);
	usleep(300_000);			# time for a keeper to fold, if it would
	sql($primary, "COMMIT PREPARED 'last'");
	caught_up($primary, $standby);
	is(sql($primary, $v), 1 + !$folded, 'which one wins');
	is(sql($standby, $v), 1 + !$folded, 'the same on the standby');
	kill('CONT', sql($primary, "SELECT pid FROM memseries.workers WHERE worker = 'keeper'")) if !$folded;
	$_->poll_query_until('postgres', "SELECT sum(runs) = 0 FROM memseries.tables") or die 'not folded' for $primary, $standby;
	is(sql($primary, $v), 1 + !$folded, 'the same when all is folded');
	is(sql($standby, $v), 1 + !$folded, 'on both');
	$primary->stop('immediate');
	$primary->start;
	is(sql($primary, $v), 1 + !$folded, 'and after a crash of the primary');
	caught_up($primary, $standby);
}

# ---- restarts of the standby ----

for my $mode ('fast', 'immediate', 'fast', 'immediate')
{
	sql($primary, rows("before $mode"));
	caught_up($primary, $standby);
	$standby->stop($mode);
	sql($primary, rows("after $mode"));
	$standby->start;
	same($standby, $primary, "a standby stopped with mode $mode catches up");
}

# restartpoints: what lies before them is not replayed again
sql($primary, rows('restartpoint'));
sql($primary, 'CHECKPOINT');
caught_up($primary, $standby);
sql($standby, 'CHECKPOINT');
sql($primary, rows('after'));
caught_up($primary, $standby);
$standby->stop('immediate');
$standby->start;
same($standby, $primary, 'a crash after a restartpoint');
$primary->stop('fast');
$standby->restart;
same($standby, undef, 'a restart while the primary is down: readers come before WAL does');
$primary->start;
sql($primary, rows('again'));
same($standby, $primary, 'and goes on when it is back');

# A checkpoint that ends a recovery of the primary has no snapshot of the standby before it.  Without workers the primary
# writes none after it, either.
sql($primary, rows('crash'));
caught_up($primary, $standby);
$primary->stop('immediate');
$primary->append_conf('postgresql.conf', 'max_worker_processes = 0');
$primary->start;
caught_up($primary, $standby);
$standby->stop('fast');
$standby->start;
same($standby, $primary, 'a restartpoint at the end of a recovery of the primary');
$primary->append_conf('postgresql.conf', 'max_worker_processes = 16');
$primary->restart;

# ---- cascading ----

my $cascade = standby_of($standby, 'cascade', "hot_standby_feedback = on\n");
sql($primary, rows('cascade'));
sql($primary, 'CHECKPOINT');
caught_up($primary, $standby);
same($cascade, $standby, 'a standby of a standby, made from its backup');
$cascade->stop('immediate');
sql($primary, rows('cascade again'));
caught_up($primary, $standby);
$cascade->start;
same($cascade, $standby, 'after a crash');

# ---- promotion ----

sql($primary, 'BEGIN;' . rows('prepared') . "PREPARE TRANSACTION 'p'; BEGIN;" . rows('prepared2') . "PREPARE TRANSACTION 'q'");
same($standby, $primary, 'prepared transactions are not seen');

# The guard takes over what was replayed; stopped at that moment, it still does.
$session = $primary->background_psql('postgres');
$session->query_safe('BEGIN;' . rows('in flight') . 'SELECT count(*) FROM ours');
sql($primary, rows('promotion'));
caught_up($primary, $standby);
caught_up($standby, $cascade);
my $guard = shown($standby, 'pid');
kill('STOP', $guard);
$primary->stop('immediate');
eval { $session->quit };
$standby->promote;
kill('TERM', $guard);
my $stop = start([ 'pg_ctl', '-D', $standby->data_dir, '-m', 'fast', '-w', 'stop' ], '<', \undef, '>', \my $out, '2>', \my $err);
usleep(300_000);
kill('CONT', $guard);
$stop->finish;
$standby->_update_pid(0);
$standby->start;
same($standby, undef, 'a stop right after the promotion, before the guard has noticed it');

# a transaction of the primary's that will never end is over
sql($standby, "COMMIT PREPARED 'p'; ROLLBACK PREPARED 'q';" . rows('new primary'));
same($standby, undef, 'prepared transactions end on the new primary');
same($cascade, $standby, 'its standby follows it');
$standby->stop('immediate');
$standby->start;
same($standby, undef, 'a crash of the new primary');
sql($standby, 'SELECT pg_current_xact_id()') for 1 .. 30;
same($standby, undef, 'transactions that nobody ended stay dead');

# promotion without a stop, then a crash at once
sql($standby, rows('second promotion'));
caught_up($standby, $cascade);
$cascade->promote;
$cascade->stop('immediate');
$cascade->start;
same($cascade, undef, 'a crash right after a promotion');
$cascade->stop;

# ---- without readers ----

my $cold = standby_of($standby, 'cold', "hot_standby = off\n");
sql($standby, rows("cold $_", 20)) for 1 .. 20;
sql($standby, 'BEGIN;' . rows('cold undone') . 'SELECT count(*) FROM ours; ROLLBACK');
sql($standby, 'CHECKPOINT');
sql($standby, rows('cold after'));
caught_up($standby, $cold);
$cold->stop('fast');
sql($standby, rows('cold last'));
$cold->start;
caught_up($standby, $cold);
$standby->stop('fast');
$cold->promote;
same($cold, undef, 'a standby that admits no readers has it all when it is promoted');

$cold->stop;
done_testing();
