# When everything has expired, memory in use is what it was when all was empty, to the byte, whatever happened before:
# random histories of writing, overwriting, deleting, rolling back, preparing, expiring, restarting and crashing.
#
# The seed is printed; MEMSERIES_SEED=... repeats one, MEMSERIES_HISTORIES=... makes more of them.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $histories = $ENV{MEMSERIES_HISTORIES} || 6;
my $seed = $ENV{MEMSERIES_SEED} || 20261123;
srand($seed);
note("seed $seed");

my $node = MemseriesNode->start('expiry', conf => q(
memseries.memory = '64MB'
memseries.keeper_naptime = '50ms'
memseries.batch_memory = '64kB'
max_prepared_transactions = 5
checkpoint_timeout = 1h
));
my @tables = qw(logged unlogged);
my $prepared = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub one_of { return $_[rand @_]; }

# Rows of some series over some hours, old ones among them; now and then very many series.
sub rows
{
	my $n = one_of(1, 50, 1000, 5000);
	my $series = one_of(1, 7, 100, $n);
	my $label = one_of("'short'", "repeat('long', 1 + i % 60)", 'NULL');
	my $age = one_of(1, 3600, 100000);
	return "SELECT now() - interval '1 s' * (i * $age / $n), i % $series, $label, " . one_of('i', '1', 'random()', 'NULL')
	  . " FROM generate_series(1, $n) i";
}

my @steps = (
	(sub { sql("INSERT INTO $_[0] " . rows()) }) x 6,
	sub { sql("BEGIN; INSERT INTO $_[0] " . rows() . '; ROLLBACK') },
	sub { sql("BEGIN; INSERT INTO $_[0] " . rows() . "; SAVEPOINT s; INSERT INTO $_[0] " . rows() . '; ROLLBACK TO s; COMMIT') },
	sub { $prepared++; sql("BEGIN; INSERT INTO $_[0] " . rows() . "; PREPARE TRANSACTION 'p$prepared'; "
			. one_of('COMMIT', 'ROLLBACK') . " PREPARED 'p$prepared'") },
	sub { sql("SELECT memseries.delete_samples('$_[0]', now() - interval '20 hours', now() - interval '" . int(rand(20)) . " hours')") },
	sub { sql("SELECT memseries.expire('$_[0]', now() + interval '" . int(rand(40)) . " hours')") },
	sub { sql('SELECT memseries.snapshot()') },
	sub { sql("SELECT memseries.configure('$_[0]', chunk_interval => '" . one_of(1, 2, 4) . " hours')") },
	sub { sql("BEGIN; TRUNCATE $_[0]; INSERT INTO $_[0] " . rows() . '; ROLLBACK') },
);

sql("CREATE TABLE logged (ts timestamptz NOT NULL, k int, l text, v float8) USING memseries;
	CREATE UNLOGGED TABLE unlogged (LIKE logged) USING memseries;");
sql("SELECT memseries.configure('$_', retain => 32)") for @tables;

# Until memory in use is what is asked for.  Samples of the future may be a window ahead.
sub all_expires
{
	my ($want, $when) = @_;
	my $gone = 'NOT EXISTS (SELECT FROM memseries.tables WHERE windows > 0 OR series > 0 OR runs > 0)';
	sql("SELECT memseries.expire('$_', now() + interval '100 days')") for @tables;
	ok($node->poll_query_until('postgres', "SELECT $gone"), "$when: everything has expired");
	ok($node->poll_query_until('postgres', "SELECT in_use_bytes = $want FROM memseries.memory"), "$when: memory in use is what it was")
	  or diag(sql('SELECT in_use_bytes FROM memseries.memory') . " in use, $want when empty");
	is(sql('SELECT * FROM memseries.check()'), '', "$when: memory passes its checks");
	return;
}

# What is empty: both tables are known, and have never held more than a row.
sql("INSERT INTO $_ VALUES (now(), 1, 'x', 1)") for @tables;
sql("SELECT memseries.expire('$_', now() + interval '100 days')") for @tables;
$node->poll_query_until('postgres', 'SELECT sum(series + windows + runs) = 0 FROM memseries.tables') or die 'two rows do not expire';
my $empty = sql('SELECT in_use_bytes FROM memseries.memory');
is(sql('SELECT (sum(in_use_bytes) / 8192)::int FROM memseries.tables'), scalar @tables, 'an empty table that is known takes a page, for its columns');

for my $history (1 .. $histories)
{
	my $full = 0;
	for (1 .. 30)
	{
		one_of(@steps)->(one_of(@tables));
		my $in_use = sql('SELECT in_use_bytes FROM memseries.memory');
		$full = $in_use if $in_use > $full;
	}
	my $stop = one_of('', 'fast', 'immediate');
	$node->restart if $stop eq 'fast';
	if ($stop eq 'immediate')
	{
		$node->stop('immediate');
		$node->start;
	}
	if ($stop ne '')
	{
		# a row, so that the tables are known again
		sql("INSERT INTO $_ VALUES (now(), 1, 'x', 1)") for @tables;
	}
	cmp_ok($full, '>', $empty + 65536, "history $history: memory was in use" . ($stop ne '' && "; then the server stopped, $stop"));
	all_expires($empty, "history $history");
}

$node->stop;
done_testing();
