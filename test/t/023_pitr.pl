# Recovery to a moment between two samples.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = MemseriesNode->start(
	'pitr',
	init => { allows_streaming => 1, has_archiving => 1, extra => ['--wal-segsize=1'] },
	conf => "memseries.keeper_naptime = '50ms'\ncheckpoint_timeout = 1h\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q(
	CREATE TABLE t (ts timestamptz NOT NULL, who text, v float8) USING memseries;
	CREATE TABLE later_gone (ts timestamptz NOT NULL, v float8) USING memseries;
	INSERT INTO later_gone VALUES (now(), 1);
	INSERT INTO t SELECT now() - i * interval '1 min', 'backup', i FROM generate_series(1, 100) i;
));
$node->backup('base');

# A sample each, and between them moments with names.  Snapshots of all kinds come before, between, and after.
my (@names, @times, %lsn);
my $value = 0;
for my $name ('one', 'two', 'three', 'four')
{
	sql("INSERT INTO t VALUES (now(), '$name', " . ++$value . ')');
	push @times, sql("SELECT pg_sleep(0.05); SELECT now()") =~ s/^\n//r;
	sql("SELECT pg_create_restore_point('$name'), pg_sleep(0.05)");
	$lsn{$name} = $node->lsn('insert');
	push @names, $name;
	sql($name eq 'two' ? 'CHECKPOINT' : 'SELECT memseries.snapshot()');
}
sql("DROP TABLE later_gone; SELECT memseries.expire('t', now() + interval '1 year')");
sql("BEGIN; INSERT INTO t VALUES (now(), 'never', 1); SELECT count(*) FROM t; ROLLBACK");
sql('CHECKPOINT; SELECT pg_switch_wal()');
my $last = sql('SELECT pg_walfile_name(pg_current_wal_lsn() - 1)');
$node->poll_query_until('postgres', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver") or die 'not archived';
is(sql('SELECT count(*) FROM t'), 0, 'in the end there is nothing');

sub recover
{
	my ($name, $conf) = @_;
	my $to = PostgreSQL::Test::Cluster->new($name);
	$to->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
	$to->append_conf('postgresql.conf', "archive_mode = off\n$conf\n");
	$to->start;
	return $to;
}

sub has
{
	my ($to, $n, $what) = @_;
	is($to->safe_psql('postgres', "SELECT count(*) FILTER (WHERE who = 'backup'), string_agg(who, ' ' ORDER BY ts) FILTER (WHERE who <> 'backup') FROM t"),
		'100|' . join(' ', @names[ 0 .. $n ]), $what);
}

for my $n (0 .. 2)
{
	my $to = recover("time$n", "recovery_target_time = '$times[$n]'\nrecovery_target_action = promote");
	$to->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'not promoted';
	has($to, $n, "to a time after sample $names[$n]");
	is($to->safe_psql('postgres', 'SELECT count(*) FROM later_gone'), 1, 'what was dropped later is there');
	is($to->safe_psql('postgres', 'SELECT * FROM memseries.check()'), '', 'memory passes its checks');
	$to->safe_psql('postgres', "INSERT INTO t VALUES (now(), 'new', 9)");
	$to->stop('immediate');
	$to->start;
	is($to->safe_psql('postgres', "SELECT count(*) FROM t"), 100 + $n + 2, 'a crash on the new timeline');
	$to->stop;
}

# Readers look around at the point; then it goes on to the next, without promotion: the end of recovery is a checkpoint, which
# the guard is there to hold up, and must not.
my $to = recover('pause', "recovery_target_name = 'two'\nrecovery_target_action = pause");
$to->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'") or die 'not paused';
has($to, 1, 'paused at a restore point');
my ($ret, $out, $err) = $to->psql('postgres', "INSERT INTO t VALUES (now(), 'x', 1)");
like($err, qr/read-only transaction|recovery/, 'nothing can be written');
$to->stop('immediate');
$to->start;
$to->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'") or die 'not paused';
has($to, 1, 'and again after a crash');
$to->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$to->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery does not end';
has($to, 1, 'recovery ends where it was paused');
$to->stop('immediate');
$to->start;
has($to, 1, 'a crash right after');
$to->stop;

# to the end
$to = recover('end', "recovery_target_timeline = latest");
$to->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery does not end';
is($to->safe_psql('postgres', 'SELECT count(*) FROM t'), 0, 'all of WAL: everything has expired');
$to->stop;

$node->stop;
done_testing();
