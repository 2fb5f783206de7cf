# The same statements run on a memseries table and on a heap table give the same answers.
#
# Each round makes a random table (labels of random types, float values), fills it in random transactions
# (rollbacks, savepoints, prepared transactions, samples written again, deletes, columns added and dropped), and asks
# random questions, in between and at the end.  The heap twin has a unique constraint on (labels, time) and takes
# rows with ON CONFLICT DO UPDATE, which is what writing a sample again means.  Every question is put to the
# heap table once and to the memseries table three times: with the custom scan, without it, and with parallel
# workers forced upon it.  Answers are compared as sorted text.
#
#   MEMSERIES_SEED     where the random numbers start (a failure names it)
#   MEMSERIES_ROUNDS   how many tables
#   MEMSERIES_QUERIES  questions per round
#
# No question depends on the order of a float sum, nor on whether 0 or -0 came first, and none can fail.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use Test::More;

my $seed = $ENV{MEMSERIES_SEED} || 20240229;
my $rounds = $ENV{MEMSERIES_ROUNDS} || 5;
my $queries = $ENV{MEMSERIES_QUERIES} || 30;

# ---- random things ----

sub any { return $_[ int(rand(@_)) ]; }
sub chance { return rand() < $_[0]; }
sub between { return $_[0] + int(rand($_[1] - $_[0] + 1)); }

# A random selection of 1 to n elements, in order.
sub some
{
	my @from = @_;
	my @out = grep { chance(0.4) } @from;
	return @out ? @out : (any(@from));
}

# Types of labels, each with values that are equal only if they are the same bytes.
my %label_types = (
	'text' => [ "'a'", "''", "'B'", "'ab c'", "'\x{c3}\x{bc}x'", "'O''x'", "repeat('long ', 300)" ],
	'varchar(8)' => [ "'a'", "'web1'", "'web2'", "'db'" ],
	'char(4)' => [ "'a'", "'bb'", "'ab'" ],
	'integer' => [ 0, 1, -5, 2147483647 ],
	'bigint' => [ 0, 7, -1, '9223372036854775807' ],
	'smallint' => [ 0, 3, "'-32768'" ],
	'uuid' => [ "'00000000-0000-0000-0000-000000000000'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'" ],
	'boolean' => [ 'true', 'false' ],
	'date' => [ "'2024-02-29'", "'1999-12-31'", "'infinity'" ],
	'timestamp' => [ "'2024-02-29 01:02:03.456789'", "'-infinity'" ],
	'bytea' => [ "'\\x00ff'", "'\\x'", "'\\x00'" ],
	'inet' => [ "'10.0.0.1'", "'10.0.0.0/8'", "'::1'" ],
	'numeric' => [ '1.5', '-2.25', '0', "'NaN'" ],
	'mood' => [ "'sad'", "'ok'", "'happy'" ],
	'text[]' => [ "'{}'", "'{a,b}'", "'{a,NULL}'" ],
	'jsonb' => [ q('{"a": "x"}'), q('[]'), q('"s"') ]);

my @plain_values = (0, 1, -1, 0.1, 123.25, "'-0'", 42, 1000000, 99.99);
my @odd_values = ("'NaN'", "'Infinity'", "'-Infinity'", 'NULL', '1e-30', '0.333333333333');

# Times are microseconds after the base, which lies in the past: windows there are sealed at once.
my $base = '2024-02-28 00:00:00+00';
my @odd_times = ("'1970-01-01 00:00:00+00'", "'2024-02-27 23:59:59.999999+00'", "'2000-01-01 00:00:00+00'",
	"'4000-01-01 00:00:00 BC'");

sub time_literal
{
	return any(@odd_times) if chance(0.03);
	my $minute = between(0, 12 * 60);
	my $micro = chance(0.2) ? between(0, 59_999_999) : 0;
	return sprintf("'2024-02-28 %02d:%02d:%02d.%06d+00'",
		int($minute / 60), $minute % 60, int($micro / 1e6), $micro % 1e6);
}

# Something to order time literals by.
sub time_key
{
	my ($time) = @_;
	return $time =~ /BC/ ? '' : $time =~ s/\+00//r;
}

# ---- tables ----

sub label_value
{
	my ($label) = @_;
	return 'NULL' if $label->{nullable} && chance(0.15);
	return any(@{ $label->{pool} });
}

sub value_literal
{
	return chance(0.15) ? any(@odd_values) : chance(0.5) ? any(@plain_values) : between(-1000, 1000) / 8;
}

sub new_label
{
	my ($name) = @_;
	my $type = any(sort keys %label_types);
	my @pool = @{ $label_types{$type} };
	return { name => $name, type => $type, nullable => chance(0.5), pool => [ some(@pool) ] };
}

sub new_value
{
	my ($name) = @_;
	return { name => $name, type => any('double precision', 'double precision', 'real') };
}

sub new_table
{
	my ($round) = @_;
	my $t = {
		round => $round,
		labels => [ map { new_label("l$_") } 1 .. between(0, 3) ],
		values => [ map { new_value("v$_") } 1 .. between(1, 3) ],
		serial => 10
	};
	my @columns = sort { rand() <=> 0.5 } ('ts timestamptz NOT NULL',
		map { "$_->{name} $_->{type}" } @{ $t->{labels} }, @{ $t->{values} });
	my $columns = join(', ', @columns);
	my $interval = any('10 minutes', '1 hour', '4 hours', '1 day');

	$t->{ddl} = "CREATE " . any('', 'UNLOGGED ') . "TABLE m ($columns) USING memseries;\n"
	  . "SELECT FROM memseries.configure('m', chunk_interval => '$interval', retain => NULL);\n"
	  . "CREATE TABLE h ($columns);\n" . unique_index($t);
	return $t;
}

sub names { return map { $_->{name} } @_; }

sub unique_index
{
	my ($t) = @_;
	my $key = join(', ', names(@{ $t->{labels} }), 'ts');
	return "DROP INDEX IF EXISTS h_key;\nCREATE UNIQUE INDEX h_key ON h ($key) NULLS NOT DISTINCT;\n";
}

# ---- writing ----

sub upsert
{
	my ($t) = @_;
	my $key = join(', ', names(@{ $t->{labels} }), 'ts');
	my $set = join(', ', map { "$_ = EXCLUDED.$_" } names(@{ $t->{values} }));
	return "ON CONFLICT ($key) DO UPDATE SET $set";
}

sub insert_rows
{
	my ($t) = @_;
	my @columns = (names(@{ $t->{labels} }), 'ts', names(@{ $t->{values} }));
	my @rows;
	my %last;

	for (1 .. any(1, 1, 3, 10, 40))
	{
		my @key = ((map { label_value($_) } @{ $t->{labels} }), time_literal());
		my $row = join(', ', @key, map { value_literal() } @{ $t->{values} });
		push @rows, $row;
		$last{ join('|', @key) } = $row;
	}
	# a heap table cannot update a row twice in one command
	my @unique = grep { my $row = $_; grep { $_ eq $row } values %last } @rows;
	my %seen;
	@unique = grep { !$seen{$_}++ } @unique;
	my $list = join(', ', @columns);
	return "INSERT INTO m ($list) VALUES " . join(', ', map { "($_)" } @rows) . ";\n"
	  . "INSERT INTO h ($list) VALUES " . join(', ', map { "($_)" } @unique) . " " . upsert($t) . ";\n";
}

# A regular series, long enough for several blocks.
sub insert_series
{
	my ($t) = @_;
	my @columns = (names(@{ $t->{labels} }), 'ts', names(@{ $t->{values} }));
	my @labels = map { my $v = label_value($_); "$v\::$_->{type}" } @{ $t->{labels} };
	my $step = any(1, 10, 15, 60);
	my $n = any(10, 100, 300, 700, 2000);
	my $start = time_literal();
	my @values = map {
		any('42', "round((sin(i * 0.1) * 100)::numeric, 2)::float8",
			"CASE WHEN i % 7 = 3 THEN NULL ELSE i END", 'i::float8 / 3', '(i * 7919) % 101')
	} @{ $t->{values} };
	my $select = 'SELECT ' . join(', ', @labels, "$start\::timestamptz + i * interval '$step s'", @values)
	  . " FROM generate_series(1, $n) i";
	my $list = join(', ', @columns);
	return "INSERT INTO m ($list) $select;\nINSERT INTO h ($list) $select " . upsert($t) . ";\n";
}

sub delete_samples
{
	my ($t) = @_;
	my ($from, $to) = sort { time_key($a) cmp time_key($b) } time_literal(), time_literal();
	my $where = @{ $t->{labels} } && chance(0.7) ? label_condition($t, '') : '';
	$where = '' if $where =~ /SELECT/;
	my $quoted = $where =~ s/'/''/gr;
	my $args = join(', ', chance(0.3) ? 'NULL' : $from, chance(0.3) ? 'NULL' : $to, $where eq '' ? () : "'$quoted'");
	my @bounds = split(/, /, $args);
	my @conditions = ($where eq '' ? 'true' : "($where)");
	push @conditions, "ts >= $bounds[0]" if $bounds[0] ne 'NULL';
	push @conditions, "ts < $bounds[1]" if $bounds[1] ne 'NULL';
	return "SELECT FROM memseries.delete_samples('m', $args);\nDELETE FROM h WHERE "
	  . join(' AND ', @conditions) . ";\n";
}

# Adds or drops a column, with or without a default.
sub alter_table
{
	my ($t) = @_;
	my $n = $t->{serial}++;
	my $sql;

	if (chance(0.35))
	{
		my $label = new_label("l$n");
		my $default = chance(0.5) ? " DEFAULT $label->{pool}[0]" : '';
		$sql = join('', map { "ALTER TABLE $_ ADD COLUMN l$n $label->{type}$default;\n" } 'm', 'h');
		push @{ $t->{labels} }, $label;
		$sql .= unique_index($t);
	}
	elsif (chance(0.5) || @{ $t->{values} } < 2)
	{
		my $value = new_value("v$n");
		my $default = chance(0.5) ? ' DEFAULT 7.25' : '';
		$sql = join('', map { "ALTER TABLE $_ ADD COLUMN v$n $value->{type}$default;\n" } 'm', 'h');
		push @{ $t->{values} }, $value;
	}
	else
	{
		my $value = splice(@{ $t->{values} }, between(0, $#{ $t->{values} }), 1);
		$sql = join('', map { "ALTER TABLE $_ DROP COLUMN $value->{name};\n" } 'm', 'h');
	}
	return $sql;
}

sub write_something
{
	my ($t) = @_;
	return chance(0.1) ? delete_samples($t) : chance(0.35) ? insert_series($t) : insert_rows($t);
}

my $prepared = 0;

sub transaction
{
	my ($t) = @_;
	return write_something($t) if chance(0.3);

	my $sql = "BEGIN" . any('', ' ISOLATION LEVEL REPEATABLE READ') . ";\n";
	for (1 .. between(1, 4))
	{
		if (chance(0.35))
		{
			$sql .= "SAVEPOINT s;\n" . write_something($t);
			$sql .= "SAVEPOINT s2;\n" . write_something($t) if chance(0.3);
			$sql .= any("ROLLBACK TO s;\n", "RELEASE s;\n", "ROLLBACK TO s;\nRELEASE s;\n");
		}
		else
		{
			$sql .= write_something($t);
		}
		$sql .= question($t) if chance(0.15);
	}
	if (chance(0.1))
	{
		my $name = 'p' . ++$prepared;
		return "${sql}PREPARE TRANSACTION '$name';\nBEGIN;\n" . question($t) . "COMMIT;\n"
		  . any('COMMIT', 'COMMIT', 'ROLLBACK') . " PREPARED '$name';\n";
	}
	return $sql . any("COMMIT;\n", "COMMIT;\n", "ROLLBACK;\n");
}

# ---- questions ----

sub label_condition
{
	my ($t, $a) = @_;
	my $label = any(@{ $t->{labels} });
	my $column = "$a$label->{name}";
	my @pool = @{ $label_types{ $label->{type} } };
	my $literal = any(@pool) . "::$label->{type}";
	my @choices = (
		"$column = $literal", "$column = $literal", "$column = $literal",
		"$column " . any('<', '<=', '>', '>=', '<>') . " $literal",
		"$literal " . any('<', '>=', '=') . " $column",
		"$column IS NULL", "$column IS NOT NULL",
		"$column IS DISTINCT FROM $literal",
		"$column IN (" . join(', ', map { "$_\::$label->{type}" } some(@pool)) . ")",
		"NOT ($column = $literal)",
		"coalesce($column, $literal) = $literal",
		"length($column\::text) " . any('=', '<', '>') . " " . between(0, 6),
		"$column\::text LIKE '" . any('a%', '%1%', '_', '%') . "'",
		"$column\::text ~ '" . any('^a', '[0-9]', 'x$', '') . "'");

	push @choices, "$column = (SELECT min(x.k) FROM (VALUES ($literal), (" . any(@pool) . ")) x(k))"
	  unless $label->{type} =~ /^(uuid|boolean|bytea|jsonb)$/;
	push @choices, "EXISTS (SELECT FROM (VALUES ($literal), (NULL)) x(k) WHERE x.k = $column)";
	return any(@choices);
}

sub time_condition
{
	my ($t, $a) = @_;
	my $time = time_literal();
	my $op = any('<', '<=', '=', '>=', '>');
	my $plain = $time =~ s/\+00//r;
	return any(
		"${a}ts $op $time", "${a}ts $op $time", "${a}ts $op $time", "$time\::timestamptz $op ${a}ts",
		"${a}ts BETWEEN $time AND " . time_literal(),
		"${a}ts >= $time AND ${a}ts < $time\::timestamptz + interval '" . any('0', '1 hour', '90 minutes', '3 days') . "'",
		"${a}ts $op $plain\::timestamp", "$plain\::timestamp $op ${a}ts", "${a}ts $op '2024-02-28'::date",
		"${a}ts $op '" . any('infinity', '-infinity') . "'",
		"${a}ts $op (SELECT $time\::timestamptz)",
		"${a}ts $op NULL::timestamptz",
		"${a}ts <> $time", "${a}ts IN ($time, " . time_literal() . ")",
		"extract(minute FROM ${a}ts) < " . between(0, 59));
}

sub value_condition
{
	my ($t, $a) = @_;
	my $column = $a . any(names(@{ $t->{values} }));
	return any("$column " . any('<', '<=', '>', '>=', '=', '<>') . " " . any(@plain_values),
		"$column IS NULL", "$column IS NOT NULL", "$column = 'NaN'", "$column < '-Infinity'::float8 + 1e30",
		"$column > " . $a . any(names(@{ $t->{values} })));
}

sub condition
{
	my ($t, $a) = @_;
	my $kind = rand();
	return "(" . condition($t, $a) . any(' AND ', ' OR ') . condition($t, $a) . ")" if $kind < 0.1;
	return "NOT coalesce(" . condition($t, $a) . ", false)" if $kind < 0.13;
	return "random() >= 0" if $kind < 0.14;
	return label_condition($t, $a) if $kind < 0.6 && @{ $t->{labels} };
	return time_condition($t, $a) if $kind < 0.85;
	return value_condition($t, $a);
}

sub where
{
	my ($t, $a, $min) = @_;
	my @conditions = map { condition($t, $a) } 1 .. between($min || 0, 3);
	return @conditions ? ' WHERE ' . join(' AND ', @conditions) : '';
}

sub exact_aggregates
{
	my ($t, $a) = @_;
	my $v = $a . any(names(@{ $t->{values} }));
	return join(', ', 'count(*)', some("count($v)", "min($v) + 0", "max($v) + 0", "sum($v\::numeric)", "min(${a}ts)",
		"max(${a}ts)", "count(DISTINCT ${a}ts)"));
}

# One question; T stands for the table.
sub query
{
	my ($t) = @_;
	my @labels = names(@{ $t->{labels} });
	my @values = names(@{ $t->{values} });
	my @columns = ('ts', @labels, @values);
	my $key = join(', ', 'ts', @labels);
	my $kind = between(1, 14);

	return "SELECT * FROM T" . where($t, '') if $kind <= 2;
	return "SELECT " . join(', ', some(@columns)) . " FROM T" . where($t, '') if $kind == 3;
	return "SELECT " . exact_aggregates($t, '') . " FROM T" . where($t, '') if $kind == 4;
	if ($kind == 5)
	{
		my $group = any((map { join(', ', some(@labels)) } grep { @labels } 1 .. 2), "date_bin('1 hour', ts, '2024-01-01')");
		return "SELECT $group, " . exact_aggregates($t, '') . " FROM T" . where($t, '') . " GROUP BY $group"
		  . (chance(0.3) ? " HAVING count(*) > 3" : '');
	}
	return "SELECT * FROM T" . where($t, '') . " ORDER BY $key LIMIT " . between(0, 20) . any('', ' OFFSET 5')
	  if $kind == 6;
	if ($kind == 7 || $kind == 8)
	{
		my @on = map { any("a.$_ = b.$_", "a.$_ = b.$_", "a.$_ IS NOT DISTINCT FROM b.$_") } @labels ? some(@labels) : ();
		push @on, any('a.ts = b.ts', "a.ts > b.ts AND a.ts <= b.ts + interval '10 minutes'");
		my $join = any('JOIN', 'JOIN', 'LEFT JOIN', 'FULL JOIN');
		($join, @on) = ('JOIN', grep { !/DISTINCT FROM|>/ } @on, 'a.ts = b.ts') if $join eq 'FULL JOIN';
		return "SELECT " . exact_aggregates($t, 'a.') . ", count(b.ts) FROM T a $join T b ON "
		  . join(' AND ', @on) . where($t, 'a.', 1) . ' AND ' . condition($t, $join eq 'LEFT JOIN' ? 'a.' : 'b.');
	}
	return "SELECT x.k, b.* FROM generate_series('2024-02-28 00:00+00'::timestamptz, '2024-02-28 12:00+00', '2 hours') x(k)"
	  . " LEFT JOIN LATERAL (SELECT count(*), max(ts), max($values[0]) + 0 FROM T WHERE ts >= x.k AND ts < x.k + interval '30 min'"
	  . (chance(0.5) ? ' AND ' . condition($t, '') : '') . ") b ON true"
	  if $kind == 9;
	if ($kind == 10 && @labels)
	{
		my $label = any(@{ $t->{labels} });
		my $list = join(', ', map { "($_\::$label->{type})" } @{ $label_types{ $label->{type} } });
		return any(
			"SELECT x.k, b.ts, b.$values[0] FROM (VALUES $list) x(k) JOIN T b ON b.$label->{name} = x.k" . where($t, 'b.'),
			"SELECT x.k, (SELECT count(*) FROM T b WHERE b.$label->{name} = x.k) FROM (VALUES $list) x(k)",
			"SELECT * FROM T WHERE $label->{name} IN (SELECT x.k FROM (VALUES $list) x(k) LIMIT 2)",
			"SELECT x.k FROM (VALUES $list) x(k) WHERE NOT EXISTS (SELECT FROM T b WHERE b.$label->{name} = x.k)");
	}
	return "SELECT DISTINCT " . join(', ', some(@labels ? @labels : 'ts')) . " FROM T" . where($t, '') if $kind <= 11;
	return "SELECT t FROM T t" . where($t, 't.') if $kind == 12;
	return "SELECT $key, lag($values[0]) OVER (PARTITION BY " . join(', ', @labels, '1')
	  . " ORDER BY ts) FROM T" . where($t, '')
	  if $kind == 13;
	return "SELECT $key, float8send($values[0]) FROM T" . where($t, '') . " UNION ALL SELECT $key, NULL FROM T"
	  . where($t, '', 1);
}

my %asked;

# Puts one question to both tables, in every way, with lines around the answers that name them.
sub question
{
	my ($t) = @_;
	my $id = keys(%asked) + 1;
	my $query = query($t);
	my $join = any('', '', 'SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;',
		'SET LOCAL enable_hashjoin = off;', 'SET LOCAL enable_nestloop = off;',
		'SET LOCAL enable_material = off; SET LOCAL enable_memoize = off; SET LOCAL enable_hashjoin = off;'
		. ' SET LOCAL enable_mergejoin = off;');
	my $plain = any('', '', 'SET LOCAL enable_seqscan = off;', 'SET LOCAL jit = off;');
	my $parallel = "SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;"
	  . " SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL max_parallel_workers_per_gather = " . between(1, 4) . ";"
	  . " SET LOCAL parallel_leader_participation = " . any('on', 'off') . ";"
	  . any('', " SET LOCAL debug_parallel = on;");
	my ($h, $m) = map { my $table = $_; $query =~ s/\bT\b/$table/gr } 'h', 'm';

	$asked{$id} = $query;
	# A savepoint gives the settings an end, whether or not we are in a transaction.
	return join('', map { "\\echo \@$id $_->[0]\nSAVEPOINT q;\n$_->[1]\n$_->[2];\nROLLBACK TO q;\nRELEASE q;\n" }
		  [ 'heap', $join, $h ],
		  [ 'custom scan', "$join $plain", $m ],
		  [ 'plain scan', "$join SET LOCAL memseries.enable_customscan = off;", $m ],
		  [ 'parallel scan', "$join $parallel", $m ]) . "\\echo \@0 end\n";
}

# ---- running ----

# Answers by question and way, from psql's output.
sub parse_answers
{
	my ($stdout) = @_;
	my %answers;
	my $answer = [];

	foreach my $line (split(/\n/, $stdout))
	{
		if ($line =~ /^\@(\d+) (.*)/)
		{
			$answer = $answers{$1}{$2} = [];
		}
		else
		{
			push @$answer, $line;
		}
	}
	delete $answers{0};
	return \%answers;
}

sub first_difference
{
	my ($a, $b) = @_;
	my %count;
	$count{$_}++ foreach @$a;
	$count{$_}-- foreach @$b;
	my @lines = map { $count{$_} > 0 ? "  only heap:      $_" : "  only memseries: $_" } grep { $count{$_} } sort keys %count;
	return join("\n", @lines > 10 ? (@lines[ 0 .. 9 ], '  ...') : @lines);
}

sub compare_answers
{
	my ($round, $stdout) = @_;
	my $answers = parse_answers($stdout);
	my $wrong = 0;

	foreach my $id (sort { $a <=> $b } keys %$answers)
	{
		my @heap = sort @{ $answers->{$id}{heap} };
		foreach my $way ('custom scan', 'plain scan', 'parallel scan')
		{
			my @rows = sort @{ $answers->{$id}{$way} || [] };
			next if join("\n", @heap) eq join("\n", @rows);
			diag("round $round, question $id, $way: $asked{$id}\n" . first_difference(\@heap, \@rows)) if $wrong++ < 5;
		}
	}
	return ($wrong, scalar(keys %$answers));
}

# A failed round's statements, for psql.
sub keep_script
{
	my ($round, $script) = @_;
	my $file = "$PostgreSQL::Test::Utils::log_path/property_$round.log";

	PostgreSQL::Test::Utils::append_to_file($file, $script);
	return "the statements are in $file";
}

my $node = MemseriesNode->start('property', conf => "memseries.keeper_naptime = 20ms\nmax_parallel_workers = 8\n");
my $parallel_setting = $node->safe_psql('postgres',
	"SELECT name FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode')");
$node->safe_psql('postgres', "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')");

note("MEMSERIES_SEED=$seed MEMSERIES_ROUNDS=$rounds MEMSERIES_QUERIES=$queries");
foreach my $round (1 .. $rounds)
{
	# Every round has a seed of its own, so that one can be run alone.
	srand($seed + $round - 1);
	%asked = ();

	my $t = new_table($round);
	my $script = "SET timezone = '" . any('UTC', 'America/New_York', 'Asia/Kolkata') . "';\n"
	  . "SET memseries.batch_memory = '" . any('64kB', '32MB') . "';\n" . $t->{ddl};
	foreach (1 .. between(5, 25))
	{
		$script .= chance(0.08) ? alter_table($t) : transaction($t);
	}
	$script .= "ANALYZE m, h;\n" if chance(0.7);
	$script .= "BEGIN;\n" . join('', map { question($t) } 1 .. $queries) . "COMMIT;\n";
	$script .= "DROP TABLE m, h;\n";
	$script =~ s/debug_parallel\b/$parallel_setting/g;

	my ($rc, $stdout, $stderr) = $node->psql('postgres', $script, on_error_stop => 0);
	my ($wrong, $n) = compare_answers($round, $stdout);
	my $again = 'MEMSERIES_SEED=' . ($seed + $round - 1) . ' MEMSERIES_ROUNDS=1';

	$stderr = join("\n", grep { !/^psql:<stdin>:\d+: (NOTICE|WARNING): / } split(/\n/, $stderr));
	ok($wrong == 0 && $n >= $queries && $stderr eq '', "round $round: $n questions answered alike ($again)")
	  or diag(substr($stderr, 0, 2000), keep_script($round, $script));
}

$node->stop;
done_testing();
