# Snapshot files cannot be written: while the server runs, at its stop, at the end of recovery, on a standby.
#
# A limit on the size of the files of one process stands for the full disk (with segments of 1 MB, WAL and everything else
# here keeps below it), and for one that takes no new files a directory that nobody may write to.  So it needs no
# rights, and fails at the same place each time.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $small = 2 * 1024 * 1024;
my $node = MemseriesNode->start(
	'primary',
	init => { allows_streaming => 1, extra => ['--wal-segsize=1'] },
	conf => "checkpoint_timeout = 1h\nautovacuum = off\nlog_checkpoints = on\nmemseries.keeper_naptime = '50ms'\nwal_keep_size = 256MB\nwal_receiver_status_interval = 1s\n");
my $dir = $node->data_dir . '/memseries';
my $digest = 'SELECT count(*), sum(hashtext(t::text)::bigint) FROM t';

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub guard { return sql("SELECT $_[0] FROM memseries.workers WHERE worker = 'guard'"); }
sub rows { my ($k, $n) = @_; sql("INSERT INTO t SELECT now() - i * interval '1 ms', $k, random() FROM generate_series(1, $n) i"); }
sub log_has { my ($of, $from, $like, $what) = @_; like(slurp_file($of->logfile, $from), $like, $what); }

sub limit
{
	my ($pid, $bytes) = @_;
	system_or_bail('prlimit', "--pid=$pid", "--fsize=$bytes:unlimited");
}

sub checkpoint
{
	my $run = start([ 'psql', '-Xqat', '-d', $node->connstr('postgres'), '-c', 'CHECKPOINT' ], '<', \undef, '>', \my $out, '2>', \my $err);
	ok($node->poll_query_until('postgres', "SELECT state = 'waiting to try again' FROM memseries.workers WHERE worker = 'guard'"), 'the guard cannot write');
	$run->pump_nb;
	ok($run->pumpable, 'the checkpoint waits');
	return $run;
}

sub crash_and_compare
{
	my $what = shift;
	my $whole = sql($digest);
	$node->stop('immediate');
	$node->start;
	is(sql($digest), $whole, $what);
	is(sql('SELECT * FROM memseries.check()'), '', 'memory passes its checks');
}

# Until the server is gone, however that came about.
sub wait_stopped
{
	my $of = shift;
	for (1 .. 1800)
	{
		last if !-e $of->data_dir . '/postmaster.pid';
		usleep(100_000);
	}
	$of->_update_pid(0);
}

sql(q(
	CREATE TABLE t (ts timestamptz NOT NULL, k int, v float8) USING memseries;
	CREATE TABLE other (ts timestamptz NOT NULL, v float8) USING memseries;
	INSERT INTO other VALUES (now(), 1);
));
rows($_, 50000) for 1 .. 8;
sql('SELECT memseries.snapshot()');

# ---- while the server runs ----

my $log = -s $node->logfile;
my $pid = guard('pid');
rows(10, 1000);
sql('INSERT INTO other VALUES (now(), 2)');
limit($pid, $small);
my ($ret, $out, $err) = $node->psql('postgres', 'SELECT memseries.snapshot()');
isnt($ret, 0, 'a snapshot that is asked for fails');
like($err, qr/ERROR:  the memseries snapshot failed\n.*could not write to file/, 'and says why');
my $checkpoint = checkpoint();
rows(11, 1000);
is(sql('SELECT count(*) FROM t WHERE k = 11'), 1000, 'reading and writing go on');
like(guard('last_error'), qr/could not write to file/, 'the guard says why');
log_has($node, $log, qr/WARNING:  a memseries snapshot failed; checkpoints wait until one succeeds/, 'so does the log');
is(scalar(grep { !/\.window$/ } glob("$dir/*")), 0, 'no half of a file remains');
limit($pid, 'unlimited');
$checkpoint->finish;
is($checkpoint->result(0), 0, 'once there is room the checkpoint completes by itself');
is(guard('pid'), $pid, 'in the same process');
crash_and_compare('nothing is lost');

# a crash while the disk is full; the older files, and WAL from where they end, make up everything
rows(12, 1000);
limit(guard('pid'), $small);
$checkpoint = checkpoint();
rows(13, 1000);
crash_and_compare('nothing is lost when the server crashes meanwhile');
$checkpoint->finish;

# no new files at all
rows(14, 1000);
chmod(0500, $dir) or die "$dir: $!";
$checkpoint = checkpoint();
like(guard('last_error'), qr/could not create file/, 'a disk that takes no new files');
rows(15, 1000);
chmod(0700, $dir) or die "$dir: $!";
sql('SELECT memseries.snapshot()');
$checkpoint->finish;
is($checkpoint->result(0), 0, 'once it does the checkpoint completes');
crash_and_compare('nothing is lost');

# ---- at the end of recovery ----

rows(20, 1000);
my $whole = sql($digest);
$node->stop('immediate');
$log = -s $node->logfile;
my $pg_ctl = 'ulimit -S -f 2048; pg_ctl -w -D "$1" -l "$2" start >/dev/null 2>&1';
isnt(system('bash', '-c', $pg_ctl, 'start', $node->data_dir, $node->logfile), 0, 'a full disk at recovery: the server does not start');
log_has($node, $log, qr/FATAL:  could not write to file/, 'the log says why');
$node->start;
is(sql($digest), $whole, 'nothing is lost');

# ---- at the stop ----

rows(21, 1000);
$whole = sql($digest);
limit(guard('pid'), $small);
$log = -s $node->logfile;
$node->stop('fast', fail_ok => 1);
wait_stopped($node);
log_has($node, $log, qr/PANIC:  memseries could not take its final snapshot/, 'a full disk at the stop: no shutdown checkpoint');
$node->start;
is(sql($digest), $whole, 'recovery brings everything back');

# ---- on a standby ----

$node->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'standby', has_streaming => 1);
$standby->start;

sub startup { return $standby->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"); }

sub same
{
	my $what = shift;
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is($standby->safe_psql('postgres', $digest), sql($digest), $what);
}

rows(30, 1000);
same('a standby');
$log = -s $standby->logfile;
limit(startup(), $small);
sql('CHECKPOINT');
$standby->wait_for_log(qr/WARNING:  a memseries snapshot failed; replay waits until one succeeds/, $log);
pass('its replay waits');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM t WHERE k = 30'), 1000, 'it can be read');
rows(31, 1000);
limit(startup(), 'unlimited');
same('once there is room it goes on');
$standby->stop('immediate');
$standby->start;
same('a crash loses nothing');

# It stops, and may complete a restartpoint then.  The checkpoint that ends a recovery of the primary has no snapshot before it;
# with workers replay waits for the one behind it, without there is none.
for my $workers (16, 0)
{
	rows(40 + $workers, 1000);
	same('before a crash of the primary');
	limit(startup(), $small);
	$log = -s $standby->logfile;
	$node->stop('immediate');
	$node->append_conf('postgresql.conf', "max_worker_processes = $workers");
	$node->start;
	if ($workers)
	{
		$standby->wait_for_log(qr/replay waits until one succeeds/, $log);
	}
	else
	{
		$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	}
	$standby->stop('fast', fail_ok => 1);
	wait_stopped($standby);
	log_has($standby, $log, qr/PANIC:  memseries could not take its final snapshot/, 'a full disk at the stop of a standby: no restartpoint');
	$standby->start;
	same('what was replayed is replayed again');
}
is($standby->safe_psql('postgres', 'SELECT * FROM memseries.check()'), '', 'memory passes its checks');

$standby->stop;
$node->stop;
done_testing();
