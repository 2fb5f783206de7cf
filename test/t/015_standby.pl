# What happens to files and memory of a primary while it is down must not happen to its standby, and what expires
# has to expire there too; a standby keeps files of its own, and lives on from them when it is promoted.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = MemseriesNode->start('primary', init => { allows_streaming => 1 },
	conf => "memseries.keeper_naptime = '50ms'\nmax_prepared_transactions = 10\nwal_receiver_status_interval = 1s\n");

sub sql { return $primary->safe_psql('postgres', $_[0]); }

sql(q(
	CREATE TABLE t (ts timestamptz NOT NULL, host text, v float8) USING memseries;
	CREATE TABLE heap (ts timestamptz NOT NULL, host text, v float8);
	CREATE TABLE short (ts timestamptz NOT NULL, k int, v float8) USING memseries;
	SELECT memseries.configure('short', chunk_interval => '1 second', retain => NULL);
	INSERT INTO t SELECT now() - i * interval '1 minute', 'old' || h, i FROM generate_series(0, 600) i, generate_series(1, 20) h;
	INSERT INTO heap SELECT * FROM t;
));

# ---- a backup while rows are written and snapshots taken ----

my $script = $primary->basedir . '/load.sql';
append_to_file($script, q(
WITH r AS (SELECT clock_timestamp() - i * interval '2 hours' AS ts, 'c' || :client_id AS host, i AS v FROM generate_series(0, 4) i),
	a AS (INSERT INTO t SELECT * FROM r)
INSERT INTO heap SELECT * FROM r;
));
my ($out, $err) = ('', '');
my $load = start([ 'pgbench', '-n', '-c', 4, '-T', 6, '-f', $script, '-h', $primary->host, '-p', $primary->port, 'postgres' ],
	'<', \undef, '>', \$out, '2>', \$err);
my $snaps = start([ 'pgbench', '-n', '-c', 1, '-T', 6, '-R', 20, '-f', do {
		append_to_file($primary->basedir . '/snap.sql', "SELECT memseries.snapshot();\nCHECKPOINT;\n");
		$primary->basedir . '/snap.sql' }, '-h', $primary->host, '-p', $primary->port, 'postgres' ],
	'<', \undef, '>', \$out, '2>', \$err);
$primary->backup('hot');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'hot', has_streaming => 1);
$standby->start;
ok($load->finish, 'clients met no error');
ok($snaps->finish, 'nor did snapshots');

my $lost = 'SELECT (SELECT count(*) FROM (SELECT * FROM heap EXCEPT SELECT * FROM t) x), (SELECT count(*) FROM (SELECT * FROM t EXCEPT SELECT * FROM heap) x)';

sub same
{
	my $when = shift;
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	is($standby->safe_psql('postgres', $lost), '0|0', "the standby has what its heap table has $when");
	is($standby->safe_psql('postgres', 'SELECT * FROM memseries.check()'), '', "and its memory passes its checks");
}

is(sql($lost), '0|0', 'the primary has what its heap table has');
same('after a backup under load');

# ---- the standby's own restarts ----

sql('CHECKPOINT');
sql("WITH r AS (SELECT now() AS ts, 'n' || i, i FROM generate_series(1, 1000) i), a AS (INSERT INTO t SELECT * FROM r) INSERT INTO heap SELECT * FROM r");
same('before its restart');
$standby->restart;
same('after its restart');
$standby->safe_psql('postgres', 'CHECKPOINT');
$standby->stop('immediate');
$standby->start;
same('after its crash');

# ---- what the primary does not restore ----

sql("INSERT INTO short SELECT now() - i * interval '100 ms', k, i FROM generate_series(0, 20) i, generate_series(1, 50) k");
sql("SELECT memseries.configure('short', retain => 4)");
$primary->stop;
sleep(5);
$primary->start;
my $windows = "SELECT coalesce(sum(windows), 0) FROM memseries.tables WHERE relation = 'short'::regclass";
ok($primary->poll_query_until('postgres', "SELECT ($windows) = 0"), 'windows past retention at the start of the primary expire');
ok($standby->poll_query_until('postgres', "SELECT ($windows) = 0"), 'and so they do on the standby');
same('after the primary was down');

# ---- what the primary loses ----

$primary->stop;
my ($file) = sort { -s $b <=> -s $a } glob($primary->data_dir . '/memseries/*.window');
truncate($file, (-s $file) - 1) or die "$file: $!";
$primary->start;
isnt(sql($lost), '0|0', 'the primary has lost a damaged window');
sql('CHECKPOINT; SELECT pg_switch_wal()');
same('after the primary lost a window');

# ---- the standby takes over ----

sql(q(BEGIN; INSERT INTO t SELECT now(), 'p' || i, i FROM generate_series(1, 10) i; PREPARE TRANSACTION 'p'));
same('before it is promoted');
$primary->stop('immediate');
$standby->promote;
is($standby->safe_psql('postgres', $lost), '0|0', 'after promotion');
$standby->safe_psql('postgres', "COMMIT PREPARED 'p'");
$standby->safe_psql('postgres', q(INSERT INTO heap SELECT * FROM t WHERE host LIKE 'p%'));
is($standby->safe_psql('postgres', $lost), '0|0', 'after COMMIT PREPARED');
$standby->safe_psql('postgres',
	"WITH r AS (SELECT now() AS ts, 'after' || i, i FROM generate_series(1, 1000) i), a AS (INSERT INTO t SELECT * FROM r) INSERT INTO heap SELECT * FROM r");
$standby->stop('immediate');
$standby->start;
is($standby->safe_psql('postgres', $lost), '0|0', 'after a crash');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM t WHERE host LIKE $$after%$$'), 1000, 'nothing is missing');
$standby->restart;
is($standby->safe_psql('postgres', $lost), '0|0', 'after a restart');
is($standby->safe_psql('postgres', 'SELECT * FROM memseries.check()'), '', 'memory passes its checks');

$standby->stop;
done_testing();
