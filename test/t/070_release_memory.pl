# Memory that has become free goes back to the operating system: after expiry, DROP and TRUNCATE, and for real, as
# the kernel's own figure for the segment shows.  Not with the setting off.  What is written afterwards is all there.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = MemseriesNode->start('release', conf => q(
memseries.memory = '256MB'
memseries.keeper_naptime = '200ms'
huge_pages = off
shared_memory_type = sysv
checkpoint_timeout = 1h
max_wal_size = 4GB
));

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What the kernel has given for the server's shared memory, in kB.  For System V shared memory it tells exactly that,
# by segment; for the default, anonymous kind it tells the sum over the whole machine only (Shmem in /proc/meminfo).
sub kernel_kb
{
	my (undef, $id) = split ' ', (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[6];

	open my $f, '<', '/proc/sysvipc/shm' or return 0;
	my @names = split ' ', <$f>;
	while (<$f>)
	{
		my %segment;
		@segment{@names} = split ' ', $_;
		return $segment{rss} / 1024 if $segment{shmid} == $id && defined $segment{rss};
	}
	return 0;
}

sub machine_kb { return slurp_file('/proc/meminfo') =~ /^Shmem:\s+(\d+) kB/m ? $1 : 0; }

sub poll
{
	my ($what, $condition) = @_;
	for (1 .. 1800)
	{
		return ok(1, $what) if $condition->();
		select(undef, undef, undef, 0.1);
	}
	return ok(0, $what);
}

sub backed { return sql('SELECT backed_bytes FROM memseries.memory'); }

my $columns = '(ts timestamptz NOT NULL, k int, v float8, ' . join(', ', map { "v$_ float8" } 1 .. 9) . ')';
my $values = join ', ', ('random()') x 10;

# Some 30 MB, of values that do not compress.
sub fill
{
	my $table = shift;
	sql("INSERT INTO $table SELECT now() - i * interval '1 second', k, $values FROM generate_series(0, 399) i, generate_series(1, 1000) k");
	return;
}

sub show { note(sprintf('%s: kernel %d kB, backed %d kB', $_[0], kernel_kb(), backed() / 1024)); }

if (kernel_kb() == 0)
{
	plan skip_all => 'the kernel does not tell how much shared memory the server has (/proc/sysvipc/shm)';
}

my $log = slurp_file($node->logfile);
my $empty = kernel_kb();
show('empty');

sql("CREATE UNLOGGED TABLE a $columns USING memseries");
fill('a');
my $full = kernel_kb();
show('full');
cmp_ok($full, '>', $empty + 24 * 1024, 'a table takes memory from the system');
cmp_ok(backed(), '>', 24 * 1024 * 1024, 'and the view says so');

sql('DROP TABLE a');
my $released = 0;
for (1 .. 1800)
{
	$released = kernel_kb() < $empty + ($full - $empty) / 4;
	last if $released || slurp_file($node->logfile) =~ /does not release memory/;
	select(undef, undef, undef, 0.1);
}
show('dropped');

SKIP:
{
	if (slurp_file($node->logfile) =~ /(memseries does not release memory.*?\n.*?\n)/)
	{
		skip "the kernel refuses: $1", 9;
	}
	ok($released, 'DROP: the kernel has most of it back');
	poll('and the view says so', sub { backed() < 12 * 1024 * 1024 });

	sql("CREATE UNLOGGED TABLE b $columns USING memseries");
	fill('b');
	is(sql('SELECT count(*), count(v) FROM b'), '400000|400000', 'what was given back can be used again');
	sql('TRUNCATE b');
	poll('TRUNCATE: the kernel has it back', sub { kernel_kb() < $empty + ($full - $empty) / 4 });

	sql("SELECT memseries.configure('b', retain => 2)");
	fill('b');
	sql("SELECT memseries.expire('b', now() + interval '1 day')");
	# the window before may have left holes of its own, smaller than the ranges that go back
	poll('expiry: the kernel has it back', sub { kernel_kb() < $empty + ($full - $empty) / 2 });
	show('expired');

	# not with the setting off
	sql('ALTER SYSTEM SET memseries.release_memory = off');
	$node->reload;
	fill('b');
	my $before = backed();
	sql("SELECT memseries.expire('b', now() + interval '1 day')");
	ok($node->poll_query_until('postgres', 'SELECT in_use_bytes < 10000000 FROM memseries.memory'), 'memory is free');
	my $rounds = sql("SELECT rounds FROM memseries.workers WHERE worker = 'keeper'");
	ok($node->poll_query_until('postgres', "SELECT rounds > $rounds + 60 FROM memseries.workers WHERE worker = 'keeper'"),
		'the keeper had time to');
	cmp_ok(backed(), '>=', $before, 'with release_memory off it stays');
	sql('ALTER SYSTEM SET memseries.release_memory = on');
	$node->reload;
	poll('until the setting is on', sub { backed() < $before / 2 });
}

# Holes are punched while others write: nothing is lost, and the writers do not notice.
sql("CREATE UNLOGGED TABLE w$_ $columns USING memseries") for 1 .. 3;
my @writers = map {
	my $w = $_;
	my $in = join('', map { "INSERT INTO w$w SELECT now() - i * interval '1 second', k, $values FROM generate_series(0, 99) i, generate_series(1, 400) k;\n"
		. ($_ % 4 == 0 ? "TRUNCATE w$w;\n" : '') . "SELECT pg_sleep(0.5);\n" } 1 .. 18);
	IPC::Run::start([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ], '<', \$in, '>', '/dev/null', '2>&1')
} 1 .. 3;
my $writers_ok = 1;
for my $writer (@writers) { $writers_ok &&= IPC::Run::finish($writer); }
ok($writers_ok, 'writers beside it have no errors');
is(sql("SELECT count(*) >= 80000, count(v) = count(*) FROM w1"), 't|t', 'and their rows are there');
is(sql('SELECT * FROM memseries.check()'), '', 'memory passes its checks');

$node->stop;

# Shared memory of the default kind.  Other programs move the kernel's figure for the machine, so that is only shown.
$node->append_conf('postgresql.conf', "shared_memory_type = mmap\n");
$node->start;
sql('DROP TABLE w1, w2, w3');
sql("CREATE UNLOGGED TABLE m $columns USING memseries");
note(sprintf 'anonymous memory: machine %d kB, backed %d kB', machine_kb(), backed() / 1024);
fill('m');
note(sprintf 'full: machine %d kB, backed %d kB', machine_kb(), backed() / 1024);
my $backed = backed();
sql('DROP TABLE m');
SKIP:
{
	skip 'the kernel refuses', 1 unless $released;
	poll('the default kind of shared memory goes back too', sub { backed() < $backed / 2 });
}
note(sprintf 'dropped: machine %d kB, backed %d kB', machine_kb(), backed() / 1024);
unlike(slurp_file($node->logfile), qr/does not release memory/, 'and the kernel has no objection') if $released;
$node->stop;
done_testing();
