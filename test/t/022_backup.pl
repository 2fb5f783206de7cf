# Base backups taken under load, from a primary and from a standby, while windows expire; and pg_rewind.
#
#   MEMSERIES_ROUNDS   how many of each (1)

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{MEMSERIES_ROUNDS} || 1;
my $primary = MemseriesNode->start(
	'primary',
	init => { allows_streaming => 1, extra => ['--data-checksums'] },
	conf => "max_prepared_transactions = 10\nmemseries.keeper_naptime = '50ms'\nwal_keep_size = 1GB\ncheckpoint_timeout = 30s\nwal_compression = on\nwal_receiver_status_interval = 1s\n");

sub sql { my ($node, $query) = @_; return $node->safe_psql('postgres', $query); }

# ours keeps all; short has windows of a second, of which few are kept; each in turn is emptied and rewritten by the way.
sql($primary, q(
	CREATE TABLE ours (ts timestamptz NOT NULL, tx bigint, v float8) USING memseries;
	SELECT memseries.configure('ours', chunk_interval => '1 second', retain => NULL);
	CREATE TABLE heap (LIKE ours);
	CREATE TABLE short (ts timestamptz NOT NULL, tx bigint, v float8) USING memseries;
	SELECT memseries.configure('short', chunk_interval => '1 second', retain => 4);
	CREATE TABLE short_heap (LIKE short);
	CREATE SEQUENCE seq;
));
my $script = $primary->basedir . '/load.sql';
append_to_file($script, q(
\set kind random(1, 40)
SELECT nextval('seq') AS tx \gset
BEGIN;
INSERT INTO ours SELECT clock_timestamp() - i * interval '700 ms', :tx, i FROM generate_series(0, 9) i;
INSERT INTO short SELECT clock_timestamp() - i * interval '100 ms', :tx, i FROM generate_series(0, 4) i;
INSERT INTO heap SELECT clock_timestamp(), :tx, i FROM generate_series(0, 9) i;
INSERT INTO short_heap SELECT clock_timestamp(), :tx, i FROM generate_series(0, 4) i;
\if :kind = 1
ROLLBACK;
\elif :kind = 2
COMMIT;
VACUUM FULL ours;
\elif :kind = 3
COMMIT;
SELECT memseries.configure('short', chunk_interval => (1 + random() * 2) * interval '1 second');
\elif :kind = 4
COMMIT;
CHECKPOINT;
\else
COMMIT;
\endif
));

my ($load, $out, $err);

sub start_load
{
	my $before = sql($primary, 'SELECT last_value FROM seq');
	$load = start([ 'pgbench', '-n', '-c', 4, '-j', 1, '-T', 600, '-f', $script, '-h', $primary->host, '-p', $primary->port, 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err);
	$primary->poll_query_until('postgres', "SELECT last_value > $before + 50 FROM seq") or die "nothing is written: $err";
}

sub end_load
{
	kill('TERM', $load->{KIDS}[0]{PID});
	$load->finish;
}

# Transactions in ours and in heap, by number and rows; expired windows of short leave no more than that.
sub differences
{
	my $node = shift;
	return sql($node, q(
		SELECT (SELECT count(*) FROM (SELECT tx, v FROM heap EXCEPT ALL SELECT tx, v FROM ours) x) || ' lost, ' ||
			(SELECT count(*) FROM (SELECT tx, v FROM ours EXCEPT ALL SELECT tx, v FROM heap) x) || ' ghosts, ' ||
			(SELECT count(*) FROM (SELECT tx, v FROM short EXCEPT ALL SELECT tx, v FROM short_heap) x) || ' ghosts')) . sql($node, 'SELECT * FROM memseries.check()');
}

my $none = '0 lost, 0 ghosts, 0 ghosts';

sub restored
{
	my ($of, $name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init_from_backup($of, $name, %options);
	$node->append_conf('postgresql.conf', "archive_mode = off\n");
	my $log = -s $node->logfile // 0;
	$node->start;
	unlike(slurp_file($node->logfile, $log), qr/was not restored|is damaged/, "$name: every file is good");
	return $node;
}

# ---- from the primary ----

start_load();
for my $i (1 .. $rounds)
{
	$primary->backup("backup$i");
	my $node = restored($primary, "backup$i");
	is(differences($node), $none, "a backup taken under load ($i)");
	$node->stop('immediate');
	$node->start;
	is(differences($node), $none, 'after a crash');
	$node->stop;
}

# ---- from a standby ----

$primary->backup('standby');
my $standby = restored($primary, 'standby', has_streaming => 1);
for my $i (1 .. $rounds)
{
	usleep(500_000);
	$standby->backup("again$i");
	my $node = restored($standby, "again$i", has_streaming => 1);
	$node->promote;
	is(differences($node), $none, "a backup of a standby ($i)");
	$node->stop;
}
end_load();

# ---- pg_rewind ----

# Both go on for themselves after the standby is promoted; the old primary then follows the new one.
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
$standby->promote;
sql($standby, 'CHECKPOINT');
my $insert = "INSERT INTO ours SELECT now() - i * interval '1 s', %d, i FROM generate_series(1, 1000) i; INSERT INTO heap SELECT now(), %d, i FROM generate_series(1, 1000) i;";
sql($primary, sprintf($insert, -1, -1));
sql($primary, 'CHECKPOINT');
sql($standby, sprintf($insert, -2, -2) . "SELECT memseries.expire('short', now() + interval '1 hour'); DELETE FROM short_heap; DROP TABLE IF EXISTS none");
sql($standby, sprintf($insert, -3, -3));
$primary->stop;
my $conf = $primary->basedir . '/postgresql.conf';
PostgreSQL::Test::Utils::system_or_bail('cp', $primary->data_dir . '/postgresql.conf', $conf);
command_ok([ 'pg_rewind', '--target-pgdata', $primary->data_dir, '--source-server', $standby->connstr('postgres'), '--no-sync' ], 'pg_rewind');
PostgreSQL::Test::Utils::system_or_bail('cp', $conf, $primary->data_dir . '/postgresql.conf');
$primary->append_conf('postgresql.conf', "primary_conninfo = '" . $standby->connstr . " application_name=primary'\n");
$primary->set_standby_mode;
$primary->start;
$standby->wait_for_catchup('primary', 'replay', $standby->lsn('flush'));
is(sql($primary, 'SELECT string_agg(DISTINCT tx::text, $$ $$ ORDER BY tx::text) FROM ours WHERE tx < 0'), '-2 -3', 'the old primary has what the new one has');
is(differences($primary), $none, 'of everything');

$primary->stop;
$standby->stop;
done_testing();
