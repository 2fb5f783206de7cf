# Under pressure: a segment that is nearly full under many writers, with on_full in both forms; a keeper that stands
# still; a transaction that is left open, so that nothing can be folded; very many tiny transactions.  Nothing crashes,
# nothing leaks, and every error has its hint.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = MemseriesNode->start('pressure', conf => q(
memseries.memory = '48MB'
memseries.keeper_naptime = '100ms'
max_connections = 60
max_prepared_transactions = 5
checkpoint_timeout = 1h
max_wal_size = 4GB
));
my $dsn = $node->connstr('postgres');
my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub in_use { return sql('SELECT in_use_bytes FROM memseries.memory'); }

# Some 0.8 MB of noise in one statement, in the hour that begins $hour hours after 2020.
my $columns = 'ts timestamptz NOT NULL, w int, ' . join(', ', map { "v$_ float8" } 1 .. 10);
my $noise = join ', ', ('random()') x 10;
sub noise_sql
{
	my ($table, $writer, $hour) = @_;
	return "INSERT INTO $table SELECT '2020-01-01'::timestamptz + $hour * interval '1 hour' + i * interval '300 ms', $writer, $noise FROM generate_series(0, 9999) i;\n";
}

# Runs psql for each script, all at once; returns what each said.  By files: what goes through pipes of IPC::Run
# goes to one after the other.
sub all_at_once
{
	my @files;
	my @run = map {
		my $file = PostgreSQL::Test::Utils::tempdir() . '/' . @files;
		push @files, $file;
		append_to_file("$file.sql", $_);
		IPC::Run::start([ 'psql', '-XqAt', '-d', $dsn, '-f', "$file.sql" ], '<', '/dev/null', '>', "$file.out", '2>', "$file.err")
	} @_;
	IPC::Run::finish($_) for @run;
	return map { slurp_file("$_.out") . slurp_file("$_.err") } @files;
}

sub check_all
{
	my $when = shift;
	is(sql('SELECT * FROM memseries.check()'), '', "$when: memory passes its checks");
	is((split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0], $postmaster, "$when: it is still the same server");
	unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC/, "$when: nothing crashed");
	return;
}

my $empty = in_use();
sub returns
{
	my $when = shift;
	ok($node->poll_query_until('postgres', "SELECT in_use_bytes = $empty FROM memseries.memory"), "$when: all memory returns")
	  or diag(in_use() . " in use, $empty when empty");
	return;
}

# ---- nearly full, 16 writers: an error, with a hint, and nothing of a statement that failed ----

sql("CREATE TABLE full_error ($columns) USING memseries");
sql("SELECT memseries.configure('full_error', chunk_interval => '1 hour', retain => NULL)");
my @said = all_at_once(map { my $w = $_; join '', map { noise_sql('full_error', $w, $_) } 1 .. 12 } 1 .. 16);
my $failed = grep { /memseries memory is full/ } @said;
cmp_ok($failed, '>=', 1, 'memory is full for some of 16 writers');
is(scalar(grep { $_ ne '' && !/memseries memory is full.*DETAIL:.*HINT:/s } @said), 0, 'every error says what to do');
is(scalar(grep { /ERROR/ && !/memory is full/ } map { split /\n/ } @said), 0, 'and there is no other');
is(sql('SELECT count(*) % 10000, count(*) > 50000, count(*) = count(v10) FROM full_error'), '0|t|t', 'rows are there by whole statements');
check_all('full, error');

sql('CREATE TABLE other (ts timestamptz NOT NULL, v float8) USING memseries');
my (undef, undef, $stderr) = $node->psql('postgres', 'INSERT INTO other VALUES (now(), 1)');
like($stderr, qr/^$|memseries memory is full.*DETAIL:.*HINT:/s, 'another table has room for a row, or says so');
sql('DROP TABLE full_error, other');
returns('full, error');

# ---- nearly full, 16 writers: the oldest goes ----

sql("CREATE TABLE full_expire ($columns) USING memseries");
sql("SELECT memseries.configure('full_expire', chunk_interval => '1 hour', retain => NULL, on_full => 'expire')");
@said = all_at_once(map { my $w = $_; join '', map { noise_sql('full_expire', $w, $_ * 4 + $w % 4) } 1 .. 10 } 1 .. 16);
is(scalar(grep { $_ ne '' && !/memseries memory is full.*DETAIL:.*HINT:/s } @said), 0, 'with on_full => expire there is no error without a hint')
  or diag(join '', @said);
is(sql("SELECT expired_windows > 0, samples > 0 FROM memseries.tables WHERE relation = 'full_expire'::regclass"), 't|t', 'windows went');
is(sql("SELECT count(DISTINCT w) > 0, max(ts) >= '2020-01-02 17:00' FROM full_expire"), 't|t', 'the newest is there');
check_all('full, expire');
sql('DROP TABLE full_expire');
returns('full, expire');

# ---- a keeper that stands still ----

sql('CREATE TABLE t (ts timestamptz NOT NULL, k int, v float8) USING memseries');
my $keeper = sql("SELECT pid FROM memseries.workers WHERE worker = 'keeper'");
for (1 .. 1000)
{
	# between two rounds, when it holds no lock
	kill 'STOP', $keeper;
	last if sql("SELECT state FROM memseries.workers WHERE worker = 'keeper'") eq 'idle';
	kill 'CONT', $keeper;
	select(undef, undef, undef, 0.05);
}
my $tiny = q(DO $$ BEGIN FOR i IN %d .. %d LOOP INSERT INTO t VALUES ('%s'::timestamptz + i * interval '1 ms', i %% 50, i); COMMIT; END LOOP; END $$;);
my $now = sql('SELECT now()');
sql(sprintf $tiny, 1, 3000, $now);
cmp_ok(sql('SELECT runs FROM memseries.memory'), '>=', 3000, 'keeper stopped: runs stay, and are seen in the view');
is(sql('SELECT count(*), sum(v) FROM t'), '3000|4501500', 'keeper stopped: all rows are read');
ok($node->poll_query_until('postgres', "SELECT state = 'idle' AND last_run < now() - interval '1 second' FROM memseries.workers WHERE worker = 'keeper'"),
	'keeper stopped: the view tells');
my @said_tiny = all_at_once(map { sprintf $tiny, 3001 + $_ * 35000, 38000 + $_ * 35000, $now } 0 .. 3);
is(join('', @said_tiny), '', 'keeper stopped: writers go on');
cmp_ok(sql('SELECT runs FROM memseries.memory'), '<', 143000, '... and when there are very many runs, fold themselves');
kill 'CONT', $keeper;
ok($node->poll_query_until('postgres', 'SELECT runs = 0 FROM memseries.memory'), 'keeper goes on: all runs are folded');
is(sql('SELECT count(*), sum(v) FROM t'), '143000|' . 143000 * 143001 / 2, 'keeper goes on: all rows are there');
check_all('keeper stopped');

# ---- a transaction that is left open: bounded, visible, and told once ----

sub warnings_of { my $log = slurp_file($node->logfile); return scalar(() = $log =~ /WARNING:  rows in memseries tables cannot be folded/g); }

sub wait_for_warning
{
	my $n = shift;
	for (1 .. 1800)
	{
		return 1 if warnings_of() >= $n;
		select(undef, undef, undef, 0.1);
	}
	return 0;
}

sub open_session
{
	my ($in, $out) = ('', '');
	my $timer = IPC::Run::timeout(600);
	my $session = IPC::Run::start([ 'psql', '-XqAt', '-d', $dsn ], '<', \$in, '>', \$out, '2>&1', $timer);
	$in .= "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'open', pg_backend_pid();\n";
	IPC::Run::pump($session) until $out =~ /open\|(\d+)/;
	return ($session, \$in, $1);
}

sql("CREATE TABLE held ($columns) USING memseries");
sql("SELECT memseries.configure('held', chunk_interval => '1 hour', retain => NULL)");
my $told = warnings_of();
for my $episode (1, 2)
{
	my ($session, $in, $pid) = open_session();
	my $stderr = '';
	for my $i (1 .. 100)
	{
		(undef, undef, $stderr) = $node->psql('postgres', noise_sql('held', $i, $i % 3));
		last if $stderr ne '';
	}
	like($stderr, qr/memseries memory is full.*cannot be folded yet.*HINT:.*transactions that have been open for long/s,
		"open transaction, episode $episode: memory ends, with a hint at the reason");
	is(sql('SELECT run_bytes > limit_bytes / 4 FROM memseries.memory'), 't', '... the view shows it');
	ok(wait_for_warning($told + 1), '... the keeper tells the log');
	ok($node->poll_query_until('postgres', "SELECT rounds > " . (sql("SELECT rounds FROM memseries.workers WHERE worker = 'keeper'") + 3)
			. " FROM memseries.workers WHERE worker = 'keeper'"), '... has several more looks');
	is(warnings_of(), ++$told, '... and does not say it again');
	like(slurp_file($node->logfile), qr/The oldest transaction is that of process $pid\b.*\n.*HINT:/, '... who it is, with a hint');
	$$in .= "COMMIT;\n\\q\n";
	IPC::Run::finish($session);
	ok($node->poll_query_until('postgres', 'SELECT runs = 0 FROM memseries.memory'), '... and when it ends, all is folded');
	check_all("open transaction, episode $episode");
	sql('TRUNCATE held');
}

# a table that has had a run for longer than its chunk_interval, however small
sql("SELECT memseries.configure('t', chunk_interval => '2 seconds', retain => 100000)");
sql("BEGIN; INSERT INTO t VALUES (now(), 1, 1); PREPARE TRANSACTION 'forgotten'");
ok(wait_for_warning($told + 1), 'a forgotten prepared transaction is told of as well');
like(slurp_file($node->logfile), qr/has rows from before .*The oldest transaction is a prepared one/, '... as what it is');
sql("ROLLBACK PREPARED 'forgotten'");
ok($node->poll_query_until('postgres', 'SELECT runs = 0 FROM memseries.memory'), '... and nothing stays of it');
sql('DROP TABLE t, held');
returns('open transactions');

# ---- very many tiny transactions: MEMSERIES_TINY=1000000 makes a million of them ----

sql('CREATE TABLE t (ts timestamptz NOT NULL, k int, v float8) USING memseries');
my $each = int(($ENV{MEMSERIES_TINY} || 20000) / 4);
my $n = $each * 4;
@said = all_at_once(map { sprintf $tiny, $_ * $each + 1, $_ * $each + $each, $now } 0 .. 3);
is(join('', @said), '', "$n tiny transactions");
is(sql('SELECT count(*), sum(v), count(DISTINCT k) FROM t'), "$n|" . $n * ($n + 1) / 2 . '|50', '... all there');
ok($node->poll_query_until('postgres', 'SELECT runs = 0 FROM memseries.memory'), '... are folded');
cmp_ok(in_use() - $empty, '<', 256 * 1024 + 20 * $n, '... into little');
check_all('tiny transactions');
sql('DROP TABLE t');
returns('tiny transactions');

$node->stop;
done_testing();
