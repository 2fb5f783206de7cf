# The files: only what changed is written; what is damaged is found, set aside and reported, and harms nothing
# else; what does not fit or is of another version waits for better days.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = MemseriesNode->start('files', conf => "memseries.keeper_naptime = '50ms'\ncheckpoint_timeout = 1h\n");
my $dir = $node->data_dir . '/memseries';

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Name => what changes when a file is written anew.
sub inodes
{
	my %is = map { my $f = $_; $f =~ s!.*/!!; ($f => (stat($_))[1]) } glob("$dir/*");
	return \%is;
}

sub folded
{
	ok($node->poll_query_until('postgres', 'SELECT coalesce(sum(runs), 0) = 0 FROM memseries.tables'), 'everything is folded');
}

# ---- only what changed ----

sql(q(
	CREATE TABLE t (ts timestamptz NOT NULL, host text, v float8) USING memseries;
	CREATE TABLE other (ts timestamptz NOT NULL, host text, v float8) USING memseries;
	-- the current window, and three that are over for so long that they are sealed
	INSERT INTO t SELECT date_bin('4 hours', now(), 'epoch') - i * interval '1 hour', 'h' || h, i
		FROM (SELECT 0 UNION ALL SELECT generate_series(5, 15)) x(i), generate_series(1, 40) h;
	INSERT INTO other VALUES (now(), 'x', 1);
));
folded();
ok($node->poll_query_until('postgres', "SELECT sealed_windows = 3 FROM memseries.tables WHERE relation = 't'::regclass"), 'and sealed');
sql('SELECT memseries.snapshot()');
my $before = inodes();
is(scalar(keys %$before), 5, 'a file for each window');
sql('SELECT memseries.snapshot()');
is_deeply(inodes(), $before, 'nothing changed, nothing written');
sql("INSERT INTO t VALUES (now(), 'h1', 1)");
folded();
sql('SELECT memseries.snapshot()');
my $after = inodes();
my @written = grep { $before->{$_} != $after->{$_} } sort keys %$before;
is(scalar(@written), 1, 'one window changed, one file written');
is_deeply([ sort keys %$after ], [ sort keys %$before ], 'under its name');
$node->restart;
is_deeply(inodes(), $after, 'a restart writes nothing');
sql("INSERT INTO t SELECT ts, 'late', 1 FROM t WHERE host = 'h2' ORDER BY ts LIMIT 1");
folded();
sql('SELECT memseries.snapshot()');
is(scalar(grep { $after->{$_} != inodes()->{$_} } keys %$after), 1, 'a late sample costs its window');
sql("SELECT memseries.configure('t', retain => 20)");
$after = inodes();
sql('SELECT memseries.snapshot()');
is(scalar(grep { $after->{$_} != inodes()->{$_} } keys %$after), 1, 'changed settings cost one window');
sql('BEGIN; INSERT INTO t VALUES (now(), \'gone\', 1); SELECT count(*) FROM t; ROLLBACK');
is(sql('SELECT * FROM memseries.check()'), '', 'memory passes its checks');

# ---- damage ----
#
# Every byte and every length is tried without a server, in the unit tests.  Here each part of a file is hit once, with
# a server that has to start, read everything else, and say what it found.

$node->stop;
my ($size, $victim) = (0);
for my $file (glob("$dir/*.window"))
{
	next if -s $file < $size;
	($size, $victim) = (-s $file, $file);
}
my $image = slurp_file($victim);
my $name = $victim;
$name =~ s!.*/!memseries/!;

sub write_file
{
	my ($file, $content) = @_;
	open(my $out, '>:raw', $file) or die "$file: $!";
	print $out $content;
	close($out) or die "$file: $!";
}

$node->start;
my $whole = sql('SELECT * FROM t ORDER BY ts, host');
my $other = sql('SELECT * FROM other');
my ($start) = $victim =~ /_(-?\d+)\.window$/;
my $time = sql("SELECT timestamptz '2000-01-01 00:00:00+00' + $start * interval '1 us'");
my $others = sql("SELECT * FROM t WHERE ts < '$time' OR ts >= timestamptz '$time' + interval '4 hours' ORDER BY ts, host");
isnt($others, $whole, 'the victim holds a part of the table');
$node->stop;

my %damages = (
	'its first byte changed' => sub { substr($_[0], 0, 1) = 'x' },
	'its length cut to nothing' => sub { $_[0] = '' },
	'its head cut' => sub { $_[0] = substr($_[0], 0, 20) },
	'its last byte missing' => sub { chop $_[0] },
	'its second half missing' => sub { $_[0] = substr($_[0], 0, length($_[0]) / 2) },
	'its second half zeroed' => sub { substr($_[0], length($_[0]) / 2) = "\0" x (length($_[0]) - int(length($_[0]) / 2)) },
	'a byte more' => sub { $_[0] .= "\0" },
	'itself appended' => sub { $_[0] .= $_[0] },
	'noise instead' => sub { $_[0] = join '', map { chr(int(rand(256))) } 1 .. 5000 });
for my $part (map { $_ / 16 } 0 .. 15)
{
	$damages{ 'a bit changed at ' . $part } = sub {
		my $at = int(length($_[0]) * $part);
		substr($_[0], $at, 1) = chr(ord(substr($_[0], $at, 1)) ^ (1 << ($at % 8)));
	};
}
for my $damage (sort keys %damages)
{
	my $bytes = $image;
	my $log = -s $node->logfile;
	$damages{$damage}->($bytes);
	write_file($victim, $bytes);
	$node->start;
	is(sql('SELECT * FROM t ORDER BY ts, host'), $others, "$damage: everything else is there");
	is(sql('SELECT * FROM other'), $other, "$damage: other tables are there") if $damage =~ /^its/;
	ok(!-e $victim, "$damage: the file is set aside");
	(my $aside = $victim) =~ s/window$/damaged/;
	is(slurp_file($aside), $bytes, "$damage: unchanged");
	like(slurp_file($node->logfile, $log), qr/WARNING:  memseries snapshot file "\Q$name\E" is damaged: /, "$damage: and reported");
	$node->stop;
	ok(!-e $victim, "$damage: a stop does not bring it back");
	unlink($aside) or die "$aside: $!";
}

# put back what was damaged, with the server down
write_file($victim, $image);
$node->start;
is(sql('SELECT * FROM t ORDER BY ts, host'), $whole, 'the sound file put back is read again');

# the damaged window can be written to, and gets a file of its own
$node->stop;
write_file($victim, substr($image, 0, 100));
$node->start;
sql("INSERT INTO t VALUES ('$time', 'again', 5)");
$node->restart;
is(sql("SELECT count(*), sum(v) FROM t WHERE host = 'again'"), '1|5', 'a window that was damaged takes samples again');
is(sql("SELECT * FROM t WHERE host <> 'again' ORDER BY ts, host"), $others, 'beside the others');
ok(-e $victim, 'and has its file');

# ---- another version ----

$node->stop;
my $newer = $image;
substr($newer, 8, 1) = chr(ord(substr($newer, 8, 1)) + 1);
write_file($victim, $newer);
my $log = -s $node->logfile;
$node->start;
is(sql('SELECT * FROM t ORDER BY ts, host'), $others, 'a file of another format version is not read');
like(slurp_file($node->logfile, $log), qr/\Q$name\E" was not restored: it has format version \d+, but this version of memseries reads version \d+/,
	'but reported');
(my $unloaded = $victim) =~ s/window$/unloaded/;
is(slurp_file($unloaded), $newer, 'and kept');
$node->stop;
write_file($unloaded, $image);
$node->start;
is(sql('SELECT * FROM t ORDER BY ts, host'), $whole, 'it is tried again at the next start');
ok(-e $victim && !-e $unloaded, 'and has its name back');

# ---- what is not a snapshot file is left alone ----

$node->stop;
append_to_file("$dir/README", "notes of the administrator\n");
append_to_file("$dir/1_2_3_4.window.bak", "x");
append_to_file("$dir/pgsql_tmp_1663_1_1_0", "x");
mkdir("$dir/folder");
$node->start;
is(sql('SELECT * FROM t ORDER BY ts, host'), $whole, 'strange files do not disturb');
ok(-e "$dir/README" && -e "$dir/1_2_3_4.window.bak" && -d "$dir/folder", 'and are left alone');
ok(!-e "$dir/pgsql_tmp_1663_1_1_0", 'but an unfinished snapshot is removed');

# ---- a file of a table that does not exist ----

$node->stop;
(my $stray = $victim) =~ s!/(\d+_\d+)_\d+_!/$1_999999_!;
write_file($stray, $image);
$node->start;
$node->poll_query_until('postgres', "SELECT state = 'idle' FROM memseries.workers WHERE worker = 'guard'");
ok(!-e $stray, 'a file of no table is removed');

# a file under the name of another table is not believed
$node->stop;
my ($other_file) = grep { -s $_ < 400 } glob("$dir/*.window");
my $other_image = slurp_file($other_file);
write_file($other_file, $image);
$log = -s $node->logfile;
$node->start;
is(sql('SELECT count(*) FROM other'), 0, 'a file under the name of another table is not read');
like(slurp_file($node->logfile, $log), qr/its head does not fit its name/, 'but reported');
is(sql('SELECT * FROM t ORDER BY ts, host'), $whole, 'and the table it is of is not disturbed');

# ---- a folder that cannot be written: snapshots fail, say so, and work again afterwards ----

SKIP:
{
	skip 'root may write anywhere', 5 if $> == 0;
	chmod(0500, $dir);
	sql("INSERT INTO t VALUES (now(), 'unwritable', 1)");
	my ($ret, $out, $err) = $node->psql('postgres', 'SELECT memseries.snapshot()');
	isnt($ret, 0, 'a snapshot that cannot be written fails');
	like($err, qr/the memseries snapshot failed.*could not create file/s, 'and says why');
	like(sql("SELECT last_error FROM memseries.workers WHERE worker = 'guard'"), qr/could not create file/, 'so does memseries.workers');
	chmod(0700, $dir);
	sql('SELECT memseries.snapshot()');
	$node->stop('immediate');
	$node->start;
	is(sql("SELECT count(*) FROM t WHERE host = 'unwritable'"), 1, 'the next one works');
}

# ---- less memory than the files need: the latest windows are restored, and nothing is lost ----

sql('DROP TABLE t, other');
sql(q(
	CREATE TABLE big (ts timestamptz NOT NULL, k int, v float8) USING memseries;
	INSERT INTO big SELECT date_bin('4 hours', now(), 'epoch') - w * interval '4 hours' + i * interval '1 s', k, random()
	  FROM generate_series(0, 7) w, generate_series(1, 500) k, generate_series(1, 800) i;
));
folded();
my $digest = 'SELECT count(*), sum(hashtext(big::text)::bigint) FROM big';
my $all = sql($digest);
$node->stop;
$node->append_conf('postgresql.conf', "memseries.memory = '16MB'\n");
$log = -s $node->logfile;
$node->start;
my ($count, $oldest) = split /\|/, sql("SELECT count(*), date_bin('4 hours', now(), 'epoch') - min(ts) FROM big");
ok($count > 0 && $count < 3200000, "a part of the table fits ($count rows)");
is(sql("SELECT count(*) % 400000 FROM big"), 0, 'windows are there whole or not at all');
is(sql("SELECT count(DISTINCT date_bin('4 hours', ts, 'epoch')) * interval '4 hours' - interval '4 hours' >= '$oldest' FROM big"), 't',
	'it is the latest part');
like(slurp_file($node->logfile, $log), qr/was not restored: memseries memory is full/, 'what is missing is reported');
is(sql('SELECT * FROM memseries.check()'), '', 'memory passes its checks');
$node->restart;
$node->stop;
$node->append_conf('postgresql.conf', "memseries.memory = '256MB'\n");
$node->start;
is(sql($digest), $all, 'with enough memory everything is back');
is(scalar(glob("$dir/*.unloaded")) // 'none', 'none', 'no file is aside');

$node->stop;
done_testing();
