# Aggregates inside the scan give what PostgreSQL's own give over a heap table.
#
# Each round makes a random table and a heap twin, fills both with the same rows (NULL, NaN, infinities, -0, late
# rows, rows written again, deletes), and asks random aggregate queries while another session goes on writing to
# both.  A question is put to the heap table and to the memseries table in several ways (with and without
# summaries, in parallel, without aggregation in the scan), all in one snapshot.  Answers must agree, but for the
# last digits of what was computed from sums.
#
#   MEMSERIES_SEED     where the random numbers start (a failure names it)
#   MEMSERIES_ROUNDS   how many tables
#   MEMSERIES_QUERIES  questions per round

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use IPC::Run;
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{MEMSERIES_SEED} || 20241027;
my $rounds = $ENV{MEMSERIES_ROUNDS} || 4;
my $queries = $ENV{MEMSERIES_QUERIES} || 60;

sub any { return $_[ int(rand(@_)) ]; }
sub chance { return rand() < $_[0]; }
sub between { return $_[0] + int(rand($_[1] - $_[0] + 1)); }

sub some
{
	my @out = grep { chance(0.5) } @_;
	return @out ? @out : (any(@_));
}

# ---- tables ----

# Types of labels, each with values; some are equal to others without being the same.
my %label_types = (
	'text' => [ "'a'", "'b'", "''", "'long name'", "'B'" ],
	'integer' => [ 0, 1, 2, -5 ],
	'numeric' => [ '1.0', '1.00', '2.5', '-3' ],
	'boolean' => [ 'true', 'false' ],
	'uuid' => [ "'00000000-0000-0000-0000-000000000000'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'" ]);

# Bases near changes of the offset of some zones, and one far from any.
my @bases = ('2024-02-28 00:00+00', '2010-11-06 20:00+00', '2011-03-12 22:00+00', '2024-10-26 20:00+00',
	'2024-04-06 08:00+00', '1999-12-31 16:00+00');
my @zones = ('UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Asia/Kathmandu');

sub new_table
{
	my @labels = map { { name => "l$_", type => any(sort keys %label_types) } } 1 .. between(0, 3);
	my $t = { labels => \@labels, base => any(@bases), span => any(3600, 6 * 3600, 40 * 3600) };
	my $columns = join(', ', 'ts timestamptz', (map { "$_->{name} $_->{type}" } @labels),
		'v1 float8', 'v2 float8', 'v3 real');
	my $interval = any('10 minutes', '1 hour', '4 hours', '1 day');

	$t->{key} = join(', ', (map { "($_->{name}::text)" } @labels), 'ts');
	$t->{ddl} = "DROP TABLE IF EXISTS m, h;\nCREATE TABLE m ($columns) USING memseries;\n"
	  . "SELECT FROM memseries.configure('m', chunk_interval => '$interval', retain => NULL);\n"
	  . "CREATE TABLE h ($columns);\nCREATE UNIQUE INDEX ON h ($t->{key}) NULLS NOT DISTINCT;\n";
	return $t;
}

sub upsert
{
	my ($t) = @_;
	return "ON CONFLICT ($t->{key}) DO UPDATE SET v1 = EXCLUDED.v1, v2 = EXCLUDED.v2, v3 = EXCLUDED.v3";
}

sub label_literal
{
	my ($label) = @_;
	return 'NULL::' . $label->{type} if chance(0.1);
	return any(@{ $label_types{ $label->{type} } }) . "::$label->{type}";
}

sub time_literal
{
	my ($t) = @_;
	my $second = chance(0.1) ? between(-100000, 200000) : between(0, $t->{span});
	return "('$t->{base}'::timestamptz + interval '$second s')";
}

# Rows of one series into both tables, by way of a third so that both get the same.
sub insert_series
{
	my ($t) = @_;
	my @labels = map { label_literal($_) } @{ $t->{labels} };
	my $n = any(1, 3, 20, 300, 300, 1500);
	my $step = chance(0.3) ? any(1, 60) : $t->{span} / $n;
	my $jitter = chance(0.25) ? ' + (random() * 1000000)::int * interval \'1 us\'' : '';
	my $v1 = any('round((random() * 100)::numeric, 2)::float8', 'i % 17', '42', 'i::float8 / 3 - 50',
		"CASE (random() * 40)::int WHEN 0 THEN NULL WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' WHEN 3 THEN '-0'"
		  . " ELSE (i % 100)::float8 END",
		"CASE WHEN i % 5 = 0 THEN NULL ELSE random() END", "NULL::float8",
		"CASE WHEN i % 50 = 7 THEN '-Infinity' ELSE (i % 7)::float8 END");
	my $v2 = any('i % 200', 'i * 3', 'CASE WHEN random() < 0.05 THEN NULL ELSE i % 90 END');
	my $v3 = any('i % 10', "(i % 64) / 4.0", "CASE WHEN i % 3 = 0 THEN NULL ELSE i % 5 END");
	my $list = join(', ', 'ts', (map { $_->{name} } @{ $t->{labels} }), 'v1', 'v2', 'v3');
	my $start = chance(0.7) ? "'$t->{base}'::timestamptz" : time_literal($t);
	my $temp = 'batch' . int(rand(1e9));
	return "CREATE TEMP TABLE $temp AS SELECT DISTINCT ON (ts) * FROM (SELECT "
	  . join(', ', "$start + i * interval '$step s'$jitter AS ts",
		(map { "$labels[$_] AS $t->{labels}[$_]{name}" } 0 .. $#labels), "($v1)::float8 AS v1", "($v2)::float8 AS v2",
		"($v3)::real AS v3")
	  . " FROM generate_series(1, $n) i) x;\n"
	  . "INSERT INTO m ($list) SELECT $list FROM $temp;\nINSERT INTO h ($list) SELECT $list FROM $temp "
	  . upsert($t) . ";\nDROP TABLE $temp;\n";
}

sub delete_samples
{
	my ($t) = @_;
	my ($from, $to) = (time_literal($t), time_literal($t));
	return "SELECT FROM memseries.delete_samples('m', least($from, $to), greatest($from, $to));\n"
	  . "DELETE FROM h WHERE ts >= least($from, $to) AND ts < greatest($from, $to);\n";
}

# ---- questions ----

sub label_condition
{
	my ($t) = @_;
	my $label = any(@{ $t->{labels} });
	my $column = $label->{name};
	my $literal = label_literal($label);
	return any("$column = $literal", "$column = $literal", "$column IS NOT NULL", "$column <> $literal",
		"length($column\::text) > 1", "coalesce($column\::text, 'none') <> 'a'",
		"$column IN ($literal, " . label_literal($label) . ")");
}

sub time_condition
{
	my ($t) = @_;
	my $op = any('<', '<=', '>', '>=', '=');
	return "ts $op " . time_literal($t) if chance(0.7);
	return any("extract(minute FROM ts) $op 30", "ts::time $op '11:30'", "extract(hour FROM ts) IN (1, 7, 22)",
		'ts IN (' . join(', ', map { time_literal($t) } 1 .. 3) . ')',
		"(ts, v1) $op (" . time_literal($t) . ", 42)", "(ts $op " . time_literal($t) . " OR v1 > 50 AND ts > " . time_literal($t) . ")");
}

sub value_condition
{
	my $op = any('<', '<=', '>', '>=', '=', '<>');
	return any("v1 $op " . any(0, 10, 42, 50.5, 99, "'NaN'", "'Infinity'", "'-0'", 'NULL'),
		"v2 $op " . any(0, 50, 199, '7::real'), "v3 $op " . any(0, 2, 4.5, "'3'::real"), any(1, 50) . " $op v1",
		'v' . between(1, 3) . ' IS NULL', 'v' . between(1, 3) . ' IS NOT NULL', "v1 $op v2", 'v1 + v2 > 20',
		"(v1 < 5 OR v3 > 3)", 'NOT (v1 > 3 AND v2 > 90)', 'CASE WHEN v2 <> 0 THEN v1 / v2 > 0.1 ELSE v3 IS NULL END', "v1 $op v2 / 2",
		'v2 <> 0 AND abs(v1) < 60', 'v2::int % 2 = 0', "v1 BETWEEN 3 AND 60");
}

sub condition
{
	my ($t) = @_;
	return label_condition($t) if @{ $t->{labels} } && chance(0.35);
	return time_condition($t) if chance(0.5);
	return value_condition();
}

sub bucket
{
	my ($t) = @_;
	my $field = any('minute', 'hour', 'hour', 'day', 'week', 'month', 'year', 'HOURS');
	my $zone = any(@zones);
	return any("date_bin('" . any('1 min', '17 min', '1 hour', '100 s', '1 day', '90 s') . "', ts, '"
		  . any('epoch', '2024-01-01 00:00:07+00', '2030-01-01 00:00+00') . "')",
		"date_trunc('$field', ts)", "date_trunc('$field', ts, '$zone')");
}

# A group key and how it is shown: equal keys may look different.
sub key
{
	my ($t) = @_;
	if (@{ $t->{labels} } && chance(0.55))
	{
		my $label = any(@{ $t->{labels} });
		my $column = $label->{name};
		return any([ "length($column\::text)", "length($column\::text)" ], [ "$column IS NULL", "$column IS NULL" ])
		  if chance(0.2);
		return [ $column, $label->{type} eq 'numeric' ? "trim_scale($column)" : $column ];
	}
	my $bucket = bucket($t);
	my $local = any('ts', 'ts', 'ts::timestamp', "(ts AT TIME ZONE '" . any(@zones) . "')");
	my $seconds = any('extract(epoch FROM ts)', "date_part('epoch', ts)", 'extract(epoch FROM ts) / ' . any(60, 7, 3600),
		"date_part('epoch', ts) / 300");
	my $expr = any($bucket, $bucket, $bucket, $bucket, "($bucket + interval '5 min')", "extract(hour FROM $bucket)",
		"($bucket)::date", 'ts', "$local\::date", "extract(" . any('minute', 'hour', 'dow', 'doy', 'week', 'isoyear', 'month', 'year')
		  . " FROM $local)", "date_trunc('" . any('minute', 'hour', 'day', 'week') . "', $local)",
		"to_char($local, '" . any('YYYY-MM-DD HH24', 'Dy', 'HH:MI am', 'IYYY-IW', 'HH24:MI:SS', 'DD MS', 'Mon "at" pm') . "')",
		"date_trunc('hour', ts) + date_part('minute', ts)::int / 5 * interval '5 min'",
		"floor($seconds) * 60", "($seconds)::bigint", "to_timestamp(floor($seconds))", "date_part('day', $local) + extract(hour FROM ts)");
	return [ $expr, $expr ];
}

# A value made of values.  Whatever might fail is kept from failing, by what must not be evaluated too early.
sub expression
{
	my ($t) = @_;
	my ($a, $b) = (any('v1', 'v2', 'v3', 'v3::float8'), any('v1', 'v2', 'v3', 2, '0.5::float8', "'NaN'::float8"));
	my $label = @{ $t->{labels} } ? label_condition($t) : 'true';
	return any("($a * $b)::float8", "($a + $b)::float8", "($a - v1)::float8", "-$a\::float8", "abs($a - 10)::float8",
		"CASE WHEN $b <> 0 THEN $a / $b ELSE 7 END::float8", "CASE WHEN $label THEN v1 WHEN v2 > 50 THEN NULL ELSE v2 END",
		"coalesce(v1, v2, -1)", 'nullif(v2, 7)', "($a / nullif($b, 0))::float8", "sqrt(abs($a))", "coalesce(v3, $b)::float8",
		"CASE WHEN $label AND v2 <> 0 THEN v1 / v2 END", "CASE WHEN v1 > $b OR v3 IS NULL THEN 1 ELSE v2 END",
		"floor(v2 / 10)", "power(v2, 2)");
}

sub count_of
{
	my ($t) = @_;
	my $condition = any("v1 > 5", "NOT v2 < 50", 'v3 IS NULL', (@{ $t->{labels} } ? label_condition($t) : 'v1 = 42'), 'v1 > v2 AND v3 < 4');
	return any('sum', 'avg', 'count') . '(' . any("CASE WHEN $condition THEN 1 ELSE 0 END", "($condition)::int",
		"CASE WHEN $condition THEN 1 END") . ')';
}

sub aggregate
{
	my ($exact, $t) = @_;
	my $v = any('v1', 'v1', 'v2', 'v3', 'v3::float8');
	return count_of($t) if chance(0.1);
	if (@{ $t->{labels} } && chance(0.1))
	{
		my $label = any(@{ $t->{labels} })->{name};
		return 'count(DISTINCT ' . any($label, $label, "length($label\::text)") . ')';
	}
	return any('count', 'sum', 'avg', 'min', 'max', 'stddev') . '(' . expression($t) . ')' if chance(0.2);
	my $agg = any('count(*)', "count($v)", "sum($v)", "avg($v)", "min($v)", "max($v)",
		any('stddev', 'variance', 'var_pop', 'stddev_pop', 'var_samp', 'stddev_samp') . "($v)",
		'min(ts)', 'max(ts)', 'count(ts)', "bool_and($v > " . any(0, 5) . ")", "bool_or(v1 = 42)", 'every(v2 IS NOT NULL)',
		"memseries." . any('increase', 'rate', 'delta') . "($v, ts)",
		($exact ? "memseries." . any('first', 'last') . "(" . any('v1', 'v2', 'v3') . ", ts)" : ()), ($exact ? "memseries.last(v1, ts)" : ()));
	return $agg;
}

# Rows in an order, as one value.
sub ordered_query
{
	my ($t) = @_;
	my @labels = map { $_->{name} } @{ $t->{labels} };
	my @by = grep { chance(0.7) } @labels;
	my @where = map { condition($t) } 1 .. any(0, 0, 1, 2);
	return 'SELECT md5(string_agg(x::text, E\'\n\')), count(*) FROM (SELECT '
	  . join(', ', 'ts', 'v2', 'v3', @labels, (@labels ? "lag(ts) OVER (PARTITION BY " . join(', ', @labels) . ', '
			. join(', ', map { "$_\::text" } @labels) . ' ORDER BY ts)' : ())) . ' FROM T'
	  . (@where ? ' WHERE ' . join(' AND ', @where) : '')
	  . ' ORDER BY ' . join(', ', (map { $_ . any('', '', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST') } @by), any('ts', 'ts', 'ts DESC'),
		(map { "$_\::text" } @labels)) . any('', '', ' LIMIT 50') . ') x';
}

# One question; T stands for the table.  Returns it and how many keys its rows begin with.
sub query
{
	my ($t) = @_;
	my @labels = @{ $t->{labels} };
	my $exact = chance(0.3);
	my (@keys, %seen);

	return (ordered_query($t), 0) if chance(0.1);

	@keys = map { [ "$_->{name}::text", "$_->{name}::text" ] } @labels if $exact;
	push @keys, grep { !$seen{ $_->[0] }++ } map { key($t) } 1 .. any(0, 1, 1, 2, 3);
	my @aggs = map {
		aggregate($exact, $t) . (chance(0.2) ? ' FILTER (WHERE ' . join(' AND ', map { condition($t) } 1 .. any(1, 1, 2)) . ')' : '')
	} 1 .. between(0, 5);
	push @aggs, 'count(*)' if !@aggs && !@keys;
	my @where = map { condition($t) } 1 .. any(0, 0, 1, 1, 2);
	return ('SELECT DISTINCT ' . join(', ', map { $_->[1] } @keys) . ' FROM T'
		  . (@where ? ' WHERE ' . join(' AND ', @where) : ''), scalar @keys)
	  if @keys && chance(0.1);
	my $sql = 'SELECT ' . join(', ', (map { $_->[1] } @keys), @aggs) . ' FROM T'
	  . (@where ? ' WHERE ' . join(' AND ', @where) : '')
	  . (@keys ? ' GROUP BY ' . join(', ', map { $_->[0] } @keys) : '')
	  . (chance(0.15) ? ' HAVING count(*) > ' . any(0, 3, 100) : '');
	if (@keys == 1 && $keys[0][0] =~ /^date_(bin|trunc)\(/ && chance(0.8))
	{
		$sql .= " ORDER BY $keys[0][0] " . any('DESC', 'DESC', 'ASC') . ' LIMIT ' . any(1, 3, 50)
		  . any('', '', ' OFFSET 2', ' OFFSET 7');
	}
	return ($sql, scalar @keys);
}

# ---- comparing ----

sub agree
{
	my ($x, $y) = @_;
	return 1 if $x eq $y;
	($x, $y) = map { $_ eq '-0' ? '0' : $_ } $x, $y;
	return 1 if $x eq $y;
	my $number = qr/^-?\d+(\.\d+)?(e[-+]?\d+)?$/;
	return 0 unless $x =~ $number && $y =~ $number;
	my $big = abs($x) > abs($y) ? abs($x) : abs($y);
	return abs($x - $y) <= 1e-9 * $big + 1e-6;
}

# Rows begin with keys, which are unique and exact: sorted, they stand in the same order.
sub difference
{
	my ($ours, $theirs) = @_;
	my @a = sort @$ours;
	my @b = sort @$theirs;
	return scalar(@a) . ' rows, not ' . scalar(@b) if @a != @b;
	for my $i (0 .. $#a)
	{
		my @x = split(/\|/, $a[$i], -1);
		my @y = split(/\|/, $b[$i], -1);
		return "$a[$i], not $b[$i]" if @x != @y || grep { !agree($x[$_], $y[$_]) } 0 .. $#x;
	}
	return '';
}

my @ways = (
	[ 'as it is' => '' ],
	[ 'without summaries' => 'SET LOCAL memseries.enable_summaries = off;' ],
	[ 'in parallel' => 'SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;'
		  . ' SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL max_parallel_workers_per_gather = 2;' ],
	[ 'in little memory' => "SET LOCAL work_mem = '64kB'; SET LOCAL hash_mem_multiplier = 1;" ],
	[ 'above the scan' => 'SET LOCAL memseries.enable_aggregates = off;' ]);

my $node = MemseriesNode->start('main', conf => "memseries.memory = '128MB'\nmemseries.keeper_naptime = '100ms'\n"
	  . "max_parallel_workers_per_gather = 0\n");
my ($asked, $inside, $wrong) = (0, 0, 0);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# All answers to a question in one snapshot.
sub ask
{
	my ($t, $own) = @_;
	my ($query, $nkeys) = query($t);
	my $zone = any(@zones);
	my $begin = "\\pset null NULL\nBEGIN ISOLATION LEVEL REPEATABLE READ;\nSET LOCAL timezone = '$zone';\n$own";
	my $script = $begin . "\\echo =heap\n" . $query =~ s/FROM T\b/FROM h/r . ";\n";

	for my $way (@ways)
	{
		my $ours = $query =~ s/FROM T\b/FROM m/r;

		$script .= "SAVEPOINT w;\n$way->[1]\n\\echo =$way->[0]\n$ours;\n\\echo =plan $way->[0]\n"
		  . "EXPLAIN (COSTS OFF) $ours;\nROLLBACK TO w;\n";
	}
	$script .= any('COMMIT', 'ROLLBACK') . ";\n";
	my ($status, $stdout, $stderr) = $node->psql('postgres', $script);
	my (%answers, $name);
	for (split(/\n/, $stdout))
	{
		if (/^=(.*)$/) { $name = $1; $answers{$name} = []; }
		elsif (defined $name) { push @{ $answers{$name} }, $_; }
	}
	$asked++;
	if ($status != 0)
	{
		$wrong++;
		diag("seed $seed, zone $zone: $query\n$stderr");
		return;
	}
	my %plan = map { $_->[0] => join("\n", @{ $answers{"plan $_->[0]"} }) } @ways;
	if ($plan{'as it is'} =~ /MemseriesAggregate/) { $inside++; }
	else { note("not inside: $query\n$plan{'as it is'}"); }
	for my $way (@ways)
	{
		my $difference = difference($answers{ $way->[0] }, $answers{heap});
		next if $difference eq '';
		$wrong++;
		diag("seed $seed, base $t->{base}, zone $zone, $way->[0]: $query\n  $difference\n$plan{ $way->[0] }");
	}
}

# Transactions of another session, some of which fail.
sub writer_script
{
	my ($t) = @_;
	my $script = '';
	for (1 .. 200)
	{
		$script .= "BEGIN;\n" . join('', map { insert_series($t) } 1 .. between(1, 2)) . any('COMMIT', 'COMMIT', 'ROLLBACK')
		  . ";\nSELECT pg_sleep(0.05);\n";
	}
	return $script;
}

diag("MEMSERIES_SEED=$seed");
for my $round (1 .. $rounds)
{
	srand($seed + $round);
	my $t = new_table();
	sql($t->{ddl});
	for (1 .. between(2, 8))
	{
		sql(insert_series($t));
		sql(delete_samples($t)) if chance(0.15);
	}
	ask($t, '') for 1 .. $queries / 2;

	my ($in, $out, $err) = (writer_script($t), '', '');
	my $writer = IPC::Run::start([ 'psql', '-Xqt', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err);
	ask($t, chance(0.2) ? insert_series($t) : '') for 1 .. $queries / 2;
	$writer->kill_kill;
	is($err =~ /error|fatal/i ? $err : '', '', "round $round: the writer met no error");
	is($wrong, 0, "round $round: the answers agree") or last;
}
cmp_ok($inside, '>', $asked / 2, "most questions are answered inside the scan ($inside of $asked)");
$node->stop;
done_testing();
