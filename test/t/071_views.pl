# The views of memory agree with each other to the byte, whatever was done before; the queries of doc/monitoring.md
# and of the dashboard doc/grafana.json run; looking is cheap while others write.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use JSON::PP;
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = MemseriesNode->start('views', conf => q(
memseries.memory = '256MB'
memseries.keeper_naptime = '100ms'
max_prepared_transactions = 5
));
my $doc = "$FindBin::RealBin/../../doc";

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub settle { MemseriesNode::settle($node) or die 'the keeper does not settle'; }

sub adds_up
{
	my $when = shift;
	is(sql('SELECT in_use_bytes + free_bytes - limit_bytes, in_use_bytes - allocated_bytes - gap_bytes,
			in_use_bytes - overhead_bytes - (SELECT sum(in_use_bytes) FROM memseries.size_classes),
			allocated_bytes - overhead_bytes - (SELECT sum(allocated_bytes) FROM memseries.size_classes),
			in_use_bytes - overhead_bytes - (SELECT coalesce(sum(in_use_bytes), 0) FROM memseries.tables),
			allocated_bytes - overhead_bytes - (SELECT coalesce(sum(allocated_bytes), 0) FROM memseries.tables),
			run_bytes - (SELECT coalesce(sum(run_bytes), 0) FROM memseries.tables) FROM memseries.memory'),
		'0|0|0|0|0|0|0', "$when: memory, size classes and tables agree");
	is(sql('SELECT count(*) FROM memseries.tables WHERE in_use_bytes <>
			times_bytes + values_bytes + labels_bytes + index_bytes + headers_bytes + run_bytes + slack_bytes'),
		'0', "$when: a table's purposes add up");
	is(sql('SELECT count(*) FROM memseries.windows WHERE in_use_bytes <>
			times_bytes + values_bytes + index_bytes + headers_bytes + run_bytes + slack_bytes
			OR chunk_bytes > times_bytes + values_bytes + headers_bytes OR slack_bytes < gap_bytes
			OR slack_bytes - gap_bytes >= 16 * chunks + 16'),
		'0', "$when: and a window's; what is neither a purpose nor gap is rounding");
	is(sql('SELECT count(*) FROM memseries.tables t WHERE slack_bytes < gap_bytes
			OR slack_bytes - gap_bytes >= 16 * (SELECT coalesce(sum(chunks + 1), 0) FROM memseries.windows w WHERE w.relation = t.relation) + 64
			OR times_bytes <> (SELECT coalesce(sum(times_bytes), 0) FROM memseries.windows w WHERE w.relation = t.relation)
			OR values_bytes <> (SELECT coalesce(sum(values_bytes), 0) FROM memseries.windows w WHERE w.relation = t.relation)'),
		'0', "$when: and so for tables");
	is(sql('SELECT * FROM memseries.check()'), '', "$when: so does the recount");
	return;
}

adds_up('empty');
my $empty = sql('SELECT in_use_bytes FROM memseries.memory');

sql(q(CREATE TABLE cpu (ts timestamptz NOT NULL, host text, tags jsonb, usage float8, temp float4) USING memseries;
	CREATE UNLOGGED TABLE irregular (ts timestamptz NOT NULL, k int, v float8) USING memseries;
	CREATE TABLE never (ts timestamptz NOT NULL, v float8) USING memseries));
sql(q(INSERT INTO cpu SELECT date_trunc('hour', now()) - i * interval '1 min', 'host ' || h, jsonb_build_object('rack', h % 7), sin(i * h), h
	FROM generate_series(0, 1500) i, generate_series(1, 50) h));
sql(q(INSERT INTO irregular SELECT now() - random() * interval '20 hours', i % 300, random() FROM generate_series(1, 60000) i));
settle();
adds_up('folded and sealed');
is(sql("SELECT times_bytes = 0 AND values_bytes > 0 AND labels_bytes > 50 * 16 AND index_bytes > 0 AND headers_bytes > 0 FROM memseries.tables WHERE relation = 'cpu'::regclass"),
	't', 'regular times take nothing, all else does');
is(sql("SELECT times_bytes > 60000 AND values_bytes > 6 * 60000 FROM memseries.tables WHERE relation = 'irregular'::regclass"),
	't', 'irregular times and noise take what they must');

# unfolded, rolled back, deleted, late; a prepared transaction keeps runs
sql("BEGIN; INSERT INTO cpu VALUES (now(), 'held', '{}', 1, 1); PREPARE TRANSACTION 'p'");
sql("INSERT INTO cpu SELECT now() - i * interval '1 s', 'new ' || i % 10, '{}', i, i FROM generate_series(1, 500) i");
$node->psql('postgres', "BEGIN; INSERT INTO irregular SELECT now() - i * interval '1 ms', i % 400, i FROM generate_series(1, 5000) i; SELECT count(*) FROM irregular; ROLLBACK");
sql("SELECT memseries.delete_samples('irregular', now() - interval '9 hours', now() - interval '2 hours', 'k < 100')");
sql("INSERT INTO irregular SELECT now() - random() * interval '20 hours', i % 300, i FROM generate_series(1, 500) i");
# it keeps everything that was committed after it began from being folded
my $rounds = sql("SELECT rounds FROM memseries.workers WHERE worker = 'keeper'");
$node->poll_query_until('postgres', "SELECT rounds > $rounds + 2 FROM memseries.workers WHERE worker = 'keeper'");
adds_up('with a prepared transaction');
cmp_ok(sql('SELECT runs FROM memseries.memory'), '>=', 3, 'which holds runs back');
sql("ROLLBACK PREPARED 'p'");
settle();
adds_up('after changes');

$node->restart;
settle();
adds_up('after a restart');

# ---- while others write: what is read in one row is of one moment, and memory passes its checks at any ----

my @said;
my @writers = map {
	my $w = $_;
	my $file = PostgreSQL::Test::Utils::tempdir() . "/writer$w.sql";
	append_to_file($file, join '', map {
		"INSERT INTO cpu SELECT now() - i * interval '3 s' * $_, 'writer $w', '{}', $_ + i, i FROM generate_series(1, 300) i;"
		. "INSERT INTO irregular SELECT now() - random() * interval '20 hours', i % (100 * $w), random() FROM generate_series(1, 1000) i;"
		. ($_ % 10 == 0 ? "SELECT memseries.delete_samples('irregular', now() - interval '9 hours', now() - interval '2 hours', 'k < 50');" : '')
	} 1 .. 60);
	push @said, "$file.err";
	IPC::Run::start([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $file ], '<', '/dev/null', '>', '/dev/null', '2>', "$file.err")
} 1 .. 3;
my %wrong = map { $_ => '' } qw(memory size_classes tables windows check);
for my $look (1 .. 40)
{
	$wrong{memory} .= sql('SELECT m FROM memseries.memory m WHERE in_use_bytes + free_bytes <> limit_bytes OR in_use_bytes - allocated_bytes <> gap_bytes OR gap_bytes < 0');
	$wrong{size_classes} .= sql('SELECT s FROM memseries.size_classes s WHERE in_use_bytes <> allocated_bytes + slack_bytes + free_bytes + tail_bytes + dead_bytes');
	$wrong{tables} .= sql('SELECT t FROM memseries.tables t WHERE in_use_bytes - allocated_bytes <> gap_bytes OR
			in_use_bytes <> times_bytes + values_bytes + labels_bytes + index_bytes + headers_bytes + run_bytes + slack_bytes');
	$wrong{windows} .= sql('SELECT w FROM memseries.windows w WHERE in_use_bytes - allocated_bytes <> gap_bytes OR
			in_use_bytes <> times_bytes + values_bytes + index_bytes + headers_bytes + run_bytes + slack_bytes');
	$wrong{check} .= sql('SELECT * FROM memseries.check()') if $look % 8 == 0;
}
is($wrong{$_}, '', "while others write: $_ adds up") for sort keys %wrong;
IPC::Run::finish($_) for @writers;
is(join('', map { slurp_file($_) } @said), '', 'no writer failed');
settle();
adds_up('after many writers');

# ---- the documents ----

my $text = slurp_file("$doc/monitoring.md");
my @queries = $text =~ /```sql\n(.*?)```/gs;
cmp_ok(scalar @queries, '>=', 10, 'doc/monitoring.md has queries');
for my $query (@queries)
{
	my ($status, undef, $stderr) = $node->psql('postgres', $query);
	my ($first) = $query =~ /(.{1,60})/;
	is("$status$stderr", '0', "runs: $first");
}

my $dashboard = decode_json(slurp_file("$doc/grafana.json"));
my $panels = 0;
for my $panel (@{ $dashboard->{panels} })
{
	is(scalar @{ $panel->{targets} }, 1, "panel \"$panel->{title}\" has one query");
	my $query = $panel->{targets}[0]{rawSql};
	$query =~ s/\$__timeFilter\((\w+)\)/$1 BETWEEN now() - interval '1 day' AND now()/;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $query);
	is("$status$stderr", '0', '... which runs');
	isnt($stdout, '', '... and has rows');
	$panels++;
}
cmp_ok($panels, '>=', 8, 'doc/grafana.json has panels');

sql('DROP TABLE cpu, irregular, never, memseries_history');
$node->poll_query_until('postgres', "SELECT in_use_bytes = $empty FROM memseries.memory");
adds_up('dropped');
is(sql('SELECT in_use_bytes FROM memseries.memory'), $empty, 'what is in use is what it was when empty');
$node->stop;
done_testing();
