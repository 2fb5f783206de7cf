# Sizing: memseries.estimate, with all it takes for granted, is within 15% of what recorded metrics of machines take.
#
# The recording is not in this repository: MEMSERIES_DATA names the folder of node-1s.samples.tsv.xz and
# node-1s.labels.tsv (scripts/check: shared/data beside the source).  Without it this test says so and is skipped; generated data
# is compared in test/pgtap/estimate.sql.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = $ENV{MEMSERIES_DATA} || '';
plan skip_all => "no recording: \"$data/node-1s.samples.tsv.xz\" is not there; set MEMSERIES_DATA"
  unless -r "$data/node-1s.samples.tsv.xz" && -r "$data/node-1s.labels.tsv";
plan skip_all => 'xz is not installed, which the recording needs' if system('command -v xz >/dev/null') != 0;

my $node = MemseriesNode->start('estimate', conf => q(
memseries.memory = '128MB'
memseries.keeper_naptime = '100ms'
));

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $empty = sql('SELECT in_use_bytes FROM memseries.memory');
sql("CREATE UNLOGGED TABLE label (series int PRIMARY KEY, labels jsonb)");
sql("\\copy label FROM '$data/node-1s.labels.tsv' (FORMAT csv, DELIMITER E'\\t', QUOTE E'\\x01')");

for my $seconds (15, 1)
{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/samples';
	my $ms = $seconds * 1000;
	system(qq(xz -dc '$data/node-1s.samples.tsv.xz' | awk -F'\t' '{ slot = int(\$1 / $ms) } last[\$2] != slot { last[\$2] = slot; print }' >'$file')) == 0
	  or die 'the recording cannot be read';
	sql('CREATE UNLOGGED TABLE sample (ms bigint, series int, value float8)');
	sql("\\copy sample FROM '$file'");
	sql('CREATE UNLOGGED TABLE node (ts timestamptz NOT NULL, name text, instance text, job text, labels jsonb, value float8) USING memseries');
	sql("SELECT memseries.configure('node', retain => NULL)");
	sql("INSERT INTO node SELECT to_timestamp(ms / 1000) + (ms % 1000) * interval '1 ms', labels->>'__name__', labels->>'instance',
			labels->>'job', labels - '__name__' - 'instance' - 'job', value FROM sample JOIN label USING (series)");
	ok($node->poll_query_until('postgres', "SELECT runs = 0 AND sealed_windows = windows FROM memseries.tables WHERE relation = 'node'::regclass"),
		"the recording at $seconds s is sealed");
	my ($estimate, $in_use) = split /\|/, sql("SELECT (memseries.estimate(series, '$seconds s', 1, 1, '1 hour')), (SELECT in_use_bytes FROM memseries.memory) - $empty
			FROM memseries.tables WHERE relation = 'node'::regclass");
	cmp_ok(abs($estimate / $in_use - 1), '<', 0.15, sprintf('an estimate of %.0f kB, %.0f kB in use: %+.1f%%', $estimate / 1024, $in_use / 1024, $estimate / $in_use * 100 - 100));
	sql('DROP TABLE node, sample');
	unlink $file;
}

$node->stop;
done_testing();
