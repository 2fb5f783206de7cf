# pg_dump and dump_table carry tables to another server.
#
# One server is filled with labels and values of every kind.  It goes to a second one three ways: by pg_dump in SQL, by
# pg_dump and pg_restore in custom format, and by pg_dump --schema-only with dump_table and load_table.  Afterwards
# every byte of a small dump file is damaged in turn, and the file is cut off at every length.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my %init = (extra => [ '--encoding=UTF8', '--no-locale' ]);
my $from = MemseriesNode->start('from', init => \%init);
my $to = MemseriesNode->start('to', init => \%init, extension => 0);
my $dir = PostgreSQL::Test::Utils::tempdir();

$from->safe_psql('postgres', q{
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
	CREATE DOMAIN short AS text CHECK (length(value) < 10);
	CREATE TABLE m (
		ts timestamptz NOT NULL, t text, gone text, i int, b bigint, n numeric, d date, u uuid, j jsonb, a text[],
		e mood, x bytea, dom short, tstz tstzrange, iv interval, flt float8, sgl float4, only_null float8
	) USING memseries;
	SELECT memseries.configure('m', chunk_interval => '3 hours', retain => NULL, max_series => 100000);
	INSERT INTO m
		SELECT '2024-02-28 22:00'::timestamptz + s * interval '37 s',
			CASE s % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E'a\nb\tc\\\\"''' ELSE U&'\00fc\65e5' END,
			'dropped later', s % 3, -s % 2, CASE s % 3 WHEN 0 THEN 'NaN'::numeric ELSE s % 3 / 10.0 END,
			'2024-02-29', ('00000000-0000-0000-0000-00000000000' || s % 2)::uuid, jsonb_build_object('k', s % 2, 'l', '[null]'::jsonb),
			ARRAY['x', NULL, 'y' || s % 2], (ARRAY['sad', 'ok', 'happy']::mood[])[s % 3 + 1], '\x00ff00', 'ab' || s % 2,
			tstzrange('2024-01-01', '2024-02-01'), '1 year 2 days 3.5 s',
			CASE s % 11 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' WHEN 2 THEN '-0' WHEN 3 THEN NULL
				WHEN 4 THEN 5e-324::float8 ELSE s / 10.0::float8 END,
			s / 3.0, NULL
		FROM generate_series(1, 3000) s;
	ALTER TABLE m DROP COLUMN gone;
	ALTER TABLE m ADD COLUMN late text DEFAULT 'was not there', ADD COLUMN late_value float8 DEFAULT 1.5;
	INSERT INTO m (ts, t, flt, late) VALUES ('2024-03-05', 'late', 1, NULL), ('2024-03-05', 'late', 2, 'other');
	SELECT memseries.delete_samples('m', '2024-02-28 23:00', '2024-02-28 23:30', 't = $$$$');
	CREATE TABLE empty (ts timestamptz NOT NULL, v float8) USING memseries;
	CREATE UNLOGGED TABLE nolabel (ts timestamptz NOT NULL, v float8) USING memseries;
	SELECT memseries.configure('nolabel', retain => NULL);
	INSERT INTO nolabel SELECT '2024-01-01'::timestamptz + i * interval '1 s', i FROM generate_series(1, 5000) i;
	CREATE TABLE parts (ts timestamptz NOT NULL, host text, v float8) PARTITION BY LIST (host);
	CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a') USING memseries;
	CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b') USING memseries;
	INSERT INTO parts VALUES (now(), 'a', 1), (now(), 'b', 2);
	CREATE MATERIALIZED VIEW mv USING memseries AS
		SELECT now() + v * interval '1 us' AS ts, v * 2 AS v FROM nolabel WHERE v < 10;
});

# What a table holds, bit by bit where text would hide something.
sub contents
{
	my ($node, $db) = @_;
	return $node->safe_psql($db, q{
		SET timezone = 'UTC'; SET extra_float_digits = 3;
		SELECT ts, t, i, b, n, d, u, j, a, e, x, dom, tstz, iv, late, float8send(flt), float4send(sgl), only_null, late_value
			FROM m ORDER BY m::text;
		SELECT count(*), sum(v), min(ts), max(ts) FROM nolabel;
		SELECT host, v FROM parts ORDER BY 1;
		SELECT count(*), sum(v) FROM mv;
		SELECT count(*) FROM empty;
		SELECT relation, chunk_interval, retain, max_series FROM memseries.tables ORDER BY relation::text;
	});
}
my $expected = contents($from, 'postgres');
cmp_ok(length($expected), '>', 100000, 'there is something to carry');

# ---- pg_dump ----

command_ok([ 'pg_dump', '-f', "$dir/all.sql", $from->connstr('postgres') ], 'pg_dump');
$to->safe_psql('postgres', 'CREATE DATABASE plain');
$to->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/all.sql", '-d', $to->connstr('plain') ], 'psql reads it');
is(contents($to, 'plain'), $expected, 'everything is there');

command_ok([ 'pg_dump', '-Fc', '-f', "$dir/all.dump", $from->connstr('postgres') ], 'pg_dump -Fc');
for my $how ([], ['-j2'], ['--single-transaction'])
{
	my $name = join('', 'restored', map { s/\W//gr } @$how);
	$to->safe_psql('postgres', "CREATE DATABASE $name");
	$to->command_ok([ 'pg_restore', @$how, '-d', $to->connstr($name), "$dir/all.dump" ], "pg_restore @$how");
	is(contents($to, $name), $expected, 'everything is there');
}

# ---- dump_table, load_table ----

command_ok([ 'pg_dump', '--schema-only', '-f', "$dir/schema.sql", $from->connstr('postgres') ], 'pg_dump --schema-only');
$to->safe_psql('postgres', 'CREATE DATABASE chunks');
$to->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/schema.sql", '-d', $to->connstr('chunks') ], 'psql reads it');
$to->safe_psql('chunks', q{
	-- other oids, other order, other windows
	ALTER TYPE mood ADD VALUE 'first' BEFORE 'sad';
	SELECT memseries.configure('m', chunk_interval => '1 hour');
});
for my $table ('m', 'nolabel', 'empty')
{
	my $bytes = $from->safe_psql('postgres', "SELECT memseries.dump_table('$table', '$dir/$table')");
	is($bytes, -s "$dir/$table", "dump_table of $table says how large the file is");
	my $rows = $to->safe_psql('chunks', "SELECT memseries.load_table('$table', '$dir/$table')");
	is($rows, $from->safe_psql('postgres', "SELECT count(*) FROM $table"), '... and load_table how many rows it has');
}
$to->safe_psql('chunks', q{
	SELECT memseries.configure('m', chunk_interval => '3 hours');
	INSERT INTO parts VALUES (now(), 'a', 1), (now(), 'b', 2);
	REFRESH MATERIALIZED VIEW mv;
});
is(contents($to, 'chunks'), $expected, 'everything is there');
is($to->safe_psql('chunks', 'SELECT * FROM memseries.check()'), '', 'and memory is valid');

# A partition, a materialized view: dumped, but not loaded.
for my $table ('parts_a', 'mv')
{
	$from->safe_psql('postgres', "SELECT memseries.dump_table('$table', '$dir/$table')");
	my ($status, undef, $stderr) = $to->psql('chunks', "SELECT memseries.load_table('$table', '$dir/$table')");
	like($stderr, qr/cannot load into/, "no loading into $table");
}

# What the snapshot of the statement does not see is not dumped.
$from->safe_psql('postgres', q{
	BEGIN;
	INSERT INTO nolabel VALUES ('2024-06-01', -1);
	PREPARE TRANSACTION 'pending';
});
$from->safe_psql('postgres', "SELECT memseries.dump_table('nolabel', '$dir/nolabel')");
$from->safe_psql('postgres', "COMMIT PREPARED 'pending'");
is($to->safe_psql('chunks', "TRUNCATE nolabel; SELECT memseries.load_table('nolabel', '$dir/nolabel')"), 5000, 'an uncommitted row is not dumped');
is($from->safe_psql('postgres', "BEGIN; INSERT INTO nolabel VALUES ('2024-06-02', -1); SELECT memseries.dump_table('nolabel', '$dir/nolabel') > 0; ROLLBACK"), 't', 'an own row...');
is($to->safe_psql('chunks', "TRUNCATE nolabel; SELECT memseries.load_table('nolabel', '$dir/nolabel')"), 5002, '... is');

# ---- retention, limits ----

$to->safe_psql('chunks', "SELECT memseries.configure('nolabel', retain => 8)");
my (undef, undef, $stderr) = $to->psql('chunks', "TRUNCATE nolabel; SELECT memseries.load_table('nolabel', '$dir/nolabel')");
like($stderr, qr/is out of range for memseries table "nolabel"/, 'what is too old is refused');
is($to->safe_psql('chunks', "SELECT count(*) FROM nolabel"), 0, '... all of it');
$to->safe_psql('chunks', "SELECT memseries.configure('nolabel', on_out_of_range => 'skip')");
is($to->safe_psql('chunks', "SELECT memseries.load_table('nolabel', '$dir/nolabel')"), 0, 'or skipped');
is($to->safe_psql('chunks', "SELECT skipped_samples FROM memseries.tables WHERE relation = 'nolabel'::regclass"), 5002, '... and counted');
$to->safe_psql('chunks', "SELECT memseries.configure('m', max_series => 5)");
(undef, undef, $stderr) = $to->psql('chunks', "TRUNCATE m; SELECT memseries.load_table('m', '$dir/m')");
like($stderr, qr/too many series in table "m"/, 'max_series holds');

# ---- encodings ----

$to->safe_psql('postgres', "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
$to->safe_psql('latin', q{
	CREATE EXTENSION memseries;
	CREATE TABLE l (ts timestamptz NOT NULL, name text, v float8) USING memseries;
	INSERT INTO l VALUES (now(), E'\xfc', 1);
	SELECT memseries.dump_table('l', '} . "$dir/latin" . q{');
});
$to->safe_psql('chunks', 'CREATE TABLE l (ts timestamptz NOT NULL, name text, v float8) USING memseries');
is($to->safe_psql('chunks', "SELECT memseries.load_table('l', '$dir/latin')"), 1, 'another encoding');
is($to->safe_psql('chunks', "SELECT ascii(name) FROM l"), 252, '... is converted');
$to->safe_psql('chunks', "TRUNCATE l; INSERT INTO l VALUES (now(), U&'\\65e5', 1); SELECT memseries.dump_table('l', '$dir/utf8')");
(undef, undef, $stderr) = $to->psql('latin', "SELECT memseries.load_table('l', '$dir/utf8')");
like($stderr, qr/has no equivalent in encoding "LATIN1"/, '... or refused');

# ---- damage ----

$to->safe_psql('chunks', q{
	CREATE TABLE small (ts timestamptz NOT NULL, host text, v float8) USING memseries;
	SELECT memseries.configure('small', retain => NULL);
	INSERT INTO small SELECT '2024-01-01'::timestamptz + i * interval '1 min', 'h' || i % 2, sqrt(i) FROM generate_series(1, 20) i;
	SELECT memseries.dump_table('small', '} . "$dir/small" . q{');
	CREATE FUNCTION refused(file text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM memseries.load_table('small', file);
		RETURN 'loaded';
	EXCEPTION WHEN data_corrupted OR feature_not_supported THEN
		RETURN NULL;
	END $$;
	TRUNCATE small;
});
my $good = slurp_file("$dir/small");
my $statements = '';
my $n = 0;
sub damaged
{
	my ($bytes) = @_;
	open(my $fh, '>', "$dir/bad.$n") or die;
	binmode $fh;
	print $fh $bytes;
	close $fh;
	$statements .= "SELECT '$n', refused('$dir/bad.$n') WHERE refused('$dir/bad.$n') IS NOT NULL;\n";
	$n++;
}
for my $i (0 .. length($good) - 1)
{
	for my $mask (0x01, 0x80, 0xff)
	{
		my $bad = $good;
		substr($bad, $i, 1) = chr(ord(substr($bad, $i, 1)) ^ $mask);
		damaged($bad);
	}
	damaged(substr($good, 0, $i));
}
damaged($good . "\0");
damaged($good . $good);
damaged('');
damaged("x" x 10000);
cmp_ok($n, '>', 1000, 'many ways to be damaged');
is($to->safe_psql('chunks', $statements), '', 'every one is refused');
is($to->safe_psql('chunks', 'SELECT count(*) FROM small'), 0, 'and nothing is loaded');
is($to->safe_psql('chunks', "SELECT memseries.load_table('small', '$dir/small')"), 20, 'the undamaged file is');

$from->stop;
$to->stop;
done_testing();
