# The guard holds up checkpoints until its snapshot is durable: when it hangs, is told to end.  (026_disk_full.pl: when it cannot write.)

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = MemseriesNode->start(
	'guard',
	init => { extra => ['--wal-segsize=1'] },
	conf => "checkpoint_timeout = 1h\nautovacuum = off\nlog_checkpoints = on\nmemseries.keeper_naptime = '50ms'\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub guard { return sql("SELECT $_[0] FROM memseries.workers WHERE worker = 'guard'"); }

sub background
{
	my $command = shift;
	my ($out, $err) = ('', '');
	return start([ 'psql', '-Xqat', '-d', $node->connstr('postgres'), '-c', $command ], '<', \undef, '>', \$out, '2>', \$err);
}

# Long enough for what is not held up.
sub is_running { my $run = shift; usleep(500_000); $run->pump_nb; return $run->pumpable; }

sql('CREATE TABLE t (ts timestamptz NOT NULL, k int, v float8) USING memseries');
my $digest = 'SELECT count(*), sum(hashtext(t::text)::bigint) FROM t';
sub rows { my ($k, $n) = @_; sql("INSERT INTO t SELECT now() - i * interval '1 ms', $k, random() FROM generate_series(1, $n) i"); }

sub crash_and_compare
{
	my $what = shift;
	my $whole = sql($digest);
	$node->stop('immediate');
	$node->start;
	is(sql($digest), $whole, $what);
	ok($node->poll_query_until('postgres', "SELECT state = 'idle' AND rounds > 0 FROM memseries.workers WHERE worker = 'guard'"), 'the guard is there');
}

# ---- it says what it does ----

rows(1, 1000);
my $log = -s $node->logfile;
sql('CHECKPOINT');
like(slurp_file($node->logfile, $log), qr/LOG:  memseries snapshot complete: wrote 1 of 1 windows \(\d+ kB\), removed 0 files; write=[\d.]+ s, sync=[\d.]+ s, total=[\d.]+ s; redo lsn=/,
	'a checkpoint logs its snapshot');
ok($node->poll_query_until('postgres', 'SELECT sum(runs) = 0 FROM memseries.tables'), 'folded');
sql('SELECT memseries.snapshot()');
$log = -s $node->logfile;
sql('CREATE TABLE plain (i int); CHECKPOINT');
like(slurp_file($node->logfile, $log), qr/memseries snapshot complete: wrote 0 of 1 windows \(0 kB\)/, 'nothing changed, nothing written');
SKIP:
{
	skip 'extensions have no wait events of their own before 17', 2 if $node->pg_version < 17;
	is(sql("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'memseries guard'"), 'MemseriesGuardMain', 'the guard has a wait event');
	is(sql("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'memseries keeper'"), 'MemseriesKeeperMain', 'the keeper as well');
}

# ---- it hangs ----

rows(2, 1000);
my $since = guard('since');
my $pid = guard('pid');
kill('STOP', $pid);
my $checkpoint = background('CHECKPOINT');
ok(is_running($checkpoint), 'a checkpoint waits for a guard that hangs');
rows(3, 1000);
is(sql('SELECT count(*) FROM t'), 3000, 'all else goes on');
is(guard("pid || ' ' || state || ' ' || (since < now() - interval '0.4 s')"), "$pid idle true", 'what it did last, and since when');
my $seen = guard('seen');
my $from = -s $node->logfile;
$node->wait_for_log(qr/keeper WARNING:  the memseries guard \(PID $pid\) has given no sign of life for 10 seconds\n.*DETAIL:  What it did last: idle\./, $from);
pass('the log is told');
is(guard('seen'), $seen, 'when it was last heard of');
is(sql("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'checkpointer'"), 'CheckpointDelayComplete', 'the checkpointer shows that it waits')
  if $node->pg_version >= 17;
crash_and_compare('a crash meanwhile');
$checkpoint->finish;

rows(4, 1000);
$pid = guard('pid');
kill('STOP', $pid);
$checkpoint = background('CHECKPOINT');
ok(is_running($checkpoint), 'again');
kill('CONT', $pid);
$checkpoint->finish;
is($checkpoint->result(0), 0, 'it completes when the guard goes on');
isnt(guard('seen'), $seen, 'which shows');
crash_and_compare('and covers what was written');

# ---- it is asked to stop ----

rows(5, 1000);
$pid = guard('pid');
is(sql("SELECT pg_cancel_backend($pid)"), 't', 'a guard that is cancelled');
sql('CHECKPOINT');
is(guard('pid'), $pid, 'goes on');
for my $wait (0, 300_000, 900_000, 1_100_000)
{
	$pid = guard('pid');
	rows(6, 10);
	sql("SELECT pg_terminate_backend($pid)");
	usleep($wait);
	sql('CHECKPOINT');
	pass("a checkpoint completes while a terminated guard is replaced ($wait)");
	ok($node->poll_query_until('postgres', "SELECT pid <> $pid AND state = 'idle' FROM memseries.workers WHERE worker = 'guard'"), 'it is');
}
rows(7, 10);
sql('CHECKPOINT');
crash_and_compare('nothing is lost');

# ---- checkpoints nobody tells of ----

$node->append_conf('postgresql.conf', 'log_checkpoints = off');
$node->reload;
rows(8, 1000);
sql('CHECKPOINT');
crash_and_compare('without log_checkpoints');
$node->append_conf('postgresql.conf', 'log_checkpoints = on');
$node->reload;

is(sql('SELECT * FROM memseries.check()'), '', 'memory passes its checks');

$node->stop;
done_testing();
