# A standby goes on while its primary is restarted, and remembers what the primary does not.
#
# What a primary has of its tables after an orderly restart comes from its snapshot files: not numbers given to runs that
# were folded long ago, not windows with nothing in them, not a table without a window.  A standby that kept running, with
# runs that a slow reader keeps it from folding, must take what comes after for newer, and for what it is.  Each table has a
# heap twin, which PostgreSQL replicates.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use Test::More;

my $primary = MemseriesNode->start(
	'primary',
	init => { allows_streaming => 1 },
	conf => "memseries.keeper_naptime = '50ms'\nwal_keep_size = 512MB\ncheckpoint_timeout = 1h\nautovacuum = off\nmax_standby_streaming_delay = -1\n");

sub sql { my ($node, $query) = @_; return $node->safe_psql('postgres', $query); }

# The same statements for both tables.
sub both { my ($query) = @_; return join('', map { (my $q = $query) =~ s/\bTAB\b/$_/g; "$q;" } 'ours', 'heap'); }

sub folded { my ($table) = @_; return "SELECT count(*) = 0 FROM memseries.windows WHERE relation = '$table'::regclass AND runs > 0"; }

sql($primary, q(
	CREATE TABLE ours (ts timestamptz NOT NULL, host text, v float8) USING memseries;
	CREATE TABLE heap (ts timestamptz PRIMARY KEY, host text, v float8);
	CREATE TABLE idle (ts timestamptz NOT NULL, host text, v float8, w float8) USING memseries;
	ALTER TABLE idle DROP COLUMN v;
	CREATE TABLE resized (ts timestamptz NOT NULL, host text, v float8) USING memseries;
	SELECT memseries.configure(t, retain => NULL) FROM unnest(ARRAY['ours', 'resized']::regclass[]) t;
	INSERT INTO idle VALUES (now(), 'a', 1);
	INSERT INTO resized VALUES ('2026-01-01 12:00', 'a', 1);
));
$primary->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'b', has_streaming => 1);
$standby->start;

sub caught_up
{
	sql($primary, "SELECT pg_logical_emit_message(true, '', '')");
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
}

sub same_on_standby
{
	my ($columns, $what) = @_;

	caught_up();
	my $question = "SELECT $columns FROM TAB ORDER BY ts";
	(my $ours = $question) =~ s/TAB/ours/;
	(my $heap = $question) =~ s/TAB/heap/;
	is(sql($standby, $ours), sql($standby, $heap), $what);
	is(sql($standby, 'SELECT * FROM memseries.check()'), '', '... and its memory is valid');
}

# ---- a slow reader of the standby, who keeps it from folding what he does not see ----

my $reader = $standby->background_psql('postgres', on_error_stop => 1);
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM heap');

# for the first sample the numbers of runs count, for the second also those of transactions, which begin anew likewise
my $early = both("INSERT INTO TAB VALUES ('2026-01-01 00:00', 'a', 1)");
sql($primary, $early);
for my $i (1 .. 20)
{
	sql($primary, "BEGIN; INSERT INTO ours VALUES ('2026-01-01 00:10', 'a', $i); SELECT count(*) FROM ours; COMMIT;");
}
sql($primary, "INSERT INTO heap VALUES ('2026-01-01 00:10', 'a', 20)");
$primary->poll_query_until('postgres', folded('ours')) or die 'not folded';
caught_up();
is(sql($standby, folded('ours')), 'f', 'the standby has runs that the primary has folded');
$primary->restart;
for my $i (1 .. 3)
{
	sql($primary, "BEGIN; INSERT INTO ours VALUES ('2026-01-01 00:00', 'a', 100 + $i); SELECT count(*) FROM ours; COMMIT;");
}
sql($primary, "UPDATE heap SET v = 103 WHERE ts = '2026-01-01 00:00'");
same_on_standby('ts, host, v', 'what was written after a restart of the primary is newer');
$reader->query_safe('COMMIT');
$reader->quit;
$standby->poll_query_until('postgres', folded('ours')) or die 'not folded';
same_on_standby('ts, host, v', '... also when the standby has folded it');

# ---- columns: one that was added and never filled must not be forgotten, as the standby knows of it ----

sql($primary, 'CHECKPOINT');
sql($primary, 'BEGIN; ALTER TABLE ours ADD COLUMN gone float8; ROLLBACK');
$primary->restart;
sql($primary, both('ALTER TABLE TAB ADD COLUMN label text, ADD COLUMN w float8'));
sql($primary, both("INSERT INTO TAB VALUES ('2026-01-01 02:00', 'a', 5, 'l', 6)"));
same_on_standby('ts, host, v, label, w', 'columns added after a restart are the same on the standby');

# ---- a table whose windows are all gone ----

sql($primary, "SELECT memseries.expire('idle', now() + interval '10 days')");
caught_up();
$primary->restart;
sql($primary, "INSERT INTO idle VALUES (now(), 'b', 7)");
caught_up();
is(sql($standby, 'SELECT host, w FROM idle'), 'b|7', 'a table made anew after a restart has its columns on the standby');

# ---- windows with nothing in them ----

sql($primary, "BEGIN; INSERT INTO resized VALUES ('2026-01-02 00:00', 'a', 1); SELECT count(*) FROM resized; ROLLBACK");
$primary->poll_query_until('postgres', folded('resized')) or die 'not dropped';
caught_up();
$primary->restart;
sql($primary, "SELECT memseries.configure('resized', chunk_interval => '1 hour', retain => NULL)");
sql($primary, "INSERT INTO resized SELECT timestamptz '2026-01-02' + i * interval '1 min', 'b', i FROM generate_series(1, 200) i");
caught_up();
is(sql($standby, 'SELECT count(*), sum(v) FROM resized'), '201|20101', 'no row is lost to a window that the primary no longer has');

$standby->stop;
$primary->stop;
done_testing();
