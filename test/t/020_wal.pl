# WAL of logged tables: what is in it, and crashes at moments that chance would not find.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run qw(start);
use PostgreSQL::Test::Utils;
use Test::More;

# Everything that changes what recovery starts from: small segments, compressed full-page images or none, checksums, and
# the level that leaves out what a transaction can sync instead.
my $node = MemseriesNode->start(
	'wal',
	init => { extra => [ '--data-checksums', '--wal-segsize=1' ] },
	conf => q(
wal_level = minimal
max_wal_senders = 0
wal_compression = on
full_page_writes = off
huge_pages = try
checkpoint_timeout = 1h
autovacuum = off
max_prepared_transactions = 10
memseries.memory = '64MB'
memseries.keeper_naptime = '50ms'
));

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub crash { $node->stop('immediate'); $node->start; }

my $digest = 'SELECT count(*), sum(hashtext(t::text)::bigint) FROM t';
my $insert = "INSERT INTO t SELECT now() - i * interval '1 s', 'h' || i % 7, i FROM generate_series(1, 1000) i";

# ---- what is in it ----

sql(q(
	CREATE EXTENSION pg_walinspect;
	CREATE TABLE t (ts timestamptz NOT NULL, host text, v float8) USING memseries;
));
my $start = sql('SELECT pg_current_wal_lsn()');
sql("BEGIN; $insert; SELECT count(*) FROM t; INSERT INTO t VALUES (now(), 'last', 1); COMMIT");
sql("SELECT memseries.configure('t', retain => 9)");
sql("SELECT memseries.snapshot()");
sql("SELECT memseries.expire('t', now() + interval '20 years')");
sql('SELECT pg_switch_wal()');
my $records = sql("SELECT record_type, description FROM pg_get_wal_records_info_till_end_of_wal('$start') WHERE resource_manager = 'memseries'")
  if $node->pg_version < 16;
$records = sql("SELECT record_type, description FROM pg_get_wal_records_info('$start', 'FFFFFFFF/FFFFFFFF') WHERE resource_manager = 'memseries'")
  if $node->pg_version >= 16;
my $storage = sql("SELECT 'storage 1663/' || oid || '/' FROM pg_database WHERE datname = 'postgres'") . sql("SELECT pg_relation_filenode('t')");
like($records, qr!^TABLE\|$storage, chunk_interval 14400000000, retain 8, slots 3$!m, 'TABLE is described');
like($records, qr!^RUN\|$storage, xid \d+, cid \d+, window \d+ to \d+, pieces [7], seq \d+, order pending$!m, 'so is RUN');
like($records, qr!^RUN\|$storage, .*, pieces 1, seq \d+, order \d+$!m, 'with the number its transaction commits with');
like($records, qr!^ORDER\|$storage, transaction \d+, order \d+$!m, 'ORDER');
like($records, qr!^DROP_WINDOW\|$storage, window \d+$!m, 'DROP_WINDOW');
like($records, qr!^SNAPEND\|redo [0-9A-F]+/[0-9A-F]+, oldest running xid \d+$!m, 'SNAPEND');
unlike($records, qr!UNKNOWN!, 'nothing else');
is(sql('SELECT count(*) FROM t'), 0, 'all windows can be expired');

# ---- checkpoints and crashes ----

sql($insert);
my $whole = sql($digest);
sql('CHECKPOINT');
crash();
is(sql($digest), $whole, 'commit, CHECKPOINT, crash: everything is there');
crash();
is(sql($digest), $whole, 'and after another crash');

# written, folded and sealed before and after the checkpoint
sql("INSERT INTO t SELECT now() - i * interval '1 min', 'late', i FROM generate_series(1, 1000) i");
sql('CHECKPOINT');
sql("INSERT INTO t SELECT now() - i * interval '1 min', 'later', i FROM generate_series(1, 1000) i");
$node->poll_query_until('postgres', 'SELECT sum(runs) = 0 FROM memseries.tables') or die 'not folded';
$whole = sql($digest);
crash();
is(sql($digest), $whole, 'what was folded since is replayed');

# Recovery itself writes what it has replayed; the checkpoint at its end lets the WAL go.  Nobody else could have written it
# here, as there are no workers.
sql("INSERT INTO t SELECT now() - i * interval '1 s', 'recovered', i FROM generate_series(1, 1000) i");
$whole = sql($digest);
$node->stop('immediate');
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->start;
is(sql($digest), $whole, 'after recovery without workers everything can be read');
my ($ret, $out, $err) = $node->psql('postgres', "SET statement_timeout = '2s'; INSERT INTO t VALUES (now(), 'x', 1)");
isnt($ret, 0, 'but not written');
$node->stop('immediate');
$node->append_conf('postgresql.conf', 'max_worker_processes = 16');
$node->start;
is(sql($digest), $whole, 'a crash right after recovery');

# ---- wal_level = minimal: tables made in the transaction that fills them ----

sql(q(
	BEGIN;
	CREATE TABLE fresh (ts timestamptz, v float8) USING memseries;
	INSERT INTO fresh SELECT now() - i * interval '1 s', i FROM generate_series(1, 1000) i;
	COMMIT;
	CREATE TABLE cut (ts timestamptz, v float8) USING memseries;
	INSERT INTO cut VALUES (now(), 1);
	BEGIN;
	TRUNCATE cut;
	INSERT INTO cut SELECT now() - i * interval '1 s', i FROM generate_series(1, 10) i;
	COMMIT;
	BEGIN;
	CREATE TABLE twice (ts timestamptz, v float8) USING memseries;
	INSERT INTO twice VALUES (now(), 1);
	SELECT count(*) FROM twice;
	TRUNCATE twice;
	INSERT INTO twice VALUES (now(), 2);
	COMMIT;
	CREATE TABLE copied USING memseries AS SELECT * FROM fresh;
	CREATE TABLE empty (ts timestamptz, v float8) USING memseries;
	ALTER TABLE empty ADD COLUMN w float8;
));
my $fresh = 'SELECT (SELECT sum(v) FROM fresh), (SELECT sum(v) FROM cut), (SELECT sum(v) FROM twice), (SELECT sum(v) FROM copied), (SELECT count(*) FROM empty)';
crash();
is(sql($fresh), '500500|55|2|500500|0', 'tables filled where they were made');
sql("INSERT INTO empty VALUES (now(), 1, 2)");
crash();
is(sql('SELECT v, w FROM empty'), '1|2', 'a table without rows takes some after a crash');
sql('CHECKPOINT; DROP TABLE fresh, cut, twice, copied, empty');

# ---- files with different columns ----

# The latest window, which is restored first, was written before there were as many as another one has.
sql("CREATE TABLE columns (ts timestamptz NOT NULL, v float8) USING memseries; INSERT INTO columns VALUES (now(), 1)");
$node->poll_query_until('postgres', "SELECT runs = 0 FROM memseries.tables WHERE relation = 'columns'::regclass") or die 'not folded';
sql("SELECT memseries.snapshot()");
sql("ALTER TABLE columns ADD COLUMN w float8 DEFAULT 3; INSERT INTO columns VALUES (now() - interval '10 hours', 1, 2); CHECKPOINT");
crash();
is(sql('SELECT v, w FROM columns ORDER BY ts'), "1|2\n1|3", 'columns added between the files of two windows');
sql('DROP TABLE columns');

# ---- transaction ids that only a run has ----

# The run is written when the subtransaction is over, so the record's header has the xid of the transaction above it.
for my $switch (0, 1)
{
	my $session = $node->background_psql('postgres');
	$session->query_safe("BEGIN; SELECT pg_current_xact_id(); SAVEPOINT s; INSERT INTO t VALUES (now(), 'ghost', 1); RELEASE s; SELECT count(*) FROM t");
	sql('SELECT pg_switch_wal()');
	sql('CHECKPOINT') if $switch;
	$node->stop('immediate');
	eval { $session->quit };
	$node->start;
	sql('CREATE TABLE ' . "plain$switch " . '(i int)');
	sql("INSERT INTO plain$switch VALUES ($_)") for 1 .. 10;
	is(sql("SELECT count(*) FROM t WHERE host = 'ghost'"), 0, 'an xid is not given out again' . ($switch ? ', after a checkpoint' : ''));
}

# ---- settings: in doubt, more is kept ----

$start = sql('SELECT pg_current_wal_lsn()');
sql("BEGIN; SELECT memseries.configure('t', retain => 1000, on_full => 'expire'); COMMIT");
sql("BEGIN; SELECT memseries.configure('t', retain => 500); ROLLBACK");
sql('SELECT pg_switch_wal()');
my $info = $node->pg_version < 16 ? "pg_get_wal_records_info_till_end_of_wal('$start')" : "pg_get_wal_records_info('$start', 'FFFFFFFF/FFFFFFFF')";
my @settings = split(/\n/, sql("SELECT record_type, description FROM $info WHERE resource_manager = 'memseries' OR record_type = 'COMMIT' ORDER BY start_lsn"));
my ($commit) = grep { $settings[$_] =~ /^COMMIT/ } 0 .. $#settings;
like(join("\n", @settings[ 0 .. $commit - 1 ]), qr/^TABLE.*retain 1000/m, 'settings that keep more are in WAL before the commit');
sql("BEGIN; SELECT memseries.configure('t', retain => 2); INSERT INTO t VALUES (now(), 'x', 1); PREPARE TRANSACTION 'settings'");
$node->stop('immediate');
$node->start;
sql("ROLLBACK PREPARED 'settings'");
my ($min) = sql('SELECT count(*) FROM t');
crash();
is(sql("SELECT count(*) FROM t"), $min, 'settings rolled back after a crash expire nothing');
sql("SELECT memseries.configure('t', retain => NULL)");

# ---- too little memory ----

sql('CREATE TABLE big (ts timestamptz NOT NULL, k int, a float8, b float8, c float8, d float8) USING memseries');
my $sum = 'SELECT count(*), sum(hashtext(t::text)::bigint) FROM big t';
my $fill = sub { sql("INSERT INTO big SELECT now() - (i % 1000) * interval '1 s', $_[0] + i / 1000, random(), random(), random(), random() FROM generate_series(1, 350000) i") };
for my $where ('files', 'WAL')
{
	$fill->($where eq 'files' ? 0 : 1000);
	sql('CHECKPOINT') if $where eq 'files';
	sql("INSERT INTO t VALUES (now(), 'x', 1)");
	$whole = sql($sum);
	$node->stop('immediate');
	# enough for the files, when it is WAL that needs more
	$node->append_conf('postgresql.conf', $where eq 'files' ? "memseries.memory = '8MB'" : "memseries.memory = '16MB'");
	my $log = -s $node->logfile;
	ok(!$node->start(fail_ok => 1), "too little memory for what is in $where: no start");
	like(slurp_file($node->logfile, $log), $where eq 'files' ? qr/FATAL:  could not restore memseries snapshot file/ : qr/FATAL:  memseries memory is full during recovery/,
		'the log says why');
	like(slurp_file($node->logfile, $log), qr/HINT: .*memseries.memory/, 'and what to do');
	$node->append_conf('postgresql.conf', "memseries.memory = '64MB'");
	$node->start;
	is(sql($sum), $whole, 'with enough memory nothing is missing');
}
is(sql('SELECT * FROM memseries.check()'), '', 'memory passes its checks');
ok(!glob($node->data_dir . '/memseries/*.unloaded'), 'no file was set aside');

$node->stop;
done_testing();
