# Kills at random moments: nothing committed is lost, nothing uncommitted appears.
#
# Clients write the same rows to memseries tables and to heap tables in random transactions: rollbacks, savepoints,
# prepared transactions, samples written again, deletes, CHECKPOINTs; one of them creates, truncates, alters,
# configures and drops tables.  Something is killed or stopped at a random moment, the server comes back, and each
# memseries table must hold what its heap twin holds, row for row, in both directions.
#
#   MEMSERIES_SEED     where the random numbers start (a failure names it)
#   MEMSERIES_KILLS    how many (7; "make torture" does 300)
#   MEMSERIES_STANDBY  1: a standby follows, is stopped and killed as well, and compared, too
#
# The last lines tell how many kills of each kind there were, and how many rows were compared.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use IPC::Run qw(run start);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

my $seed = $ENV{MEMSERIES_SEED} || int(time);
my $kills = $ENV{MEMSERIES_KILLS} || 7;
my $with_standby = $ENV{MEMSERIES_STANDBY};
srand($seed);
note("MEMSERIES_SEED=$seed");

my $node = MemseriesNode->start(
	'torture',
	init => { allows_streaming => $with_standby ? 1 : 0 },
	conf => q(
memseries.keeper_naptime = '50ms'
memseries.memory = '512MB'
memseries.batch_memory = '64kB'
restart_after_crash = on
max_prepared_transactions = 50
checkpoint_timeout = 30s
max_wal_size = 64MB
wal_keep_size = 2GB
wal_receiver_status_interval = 1s
log_min_messages = warning
));

sub any { return $_[ int(rand(@_)) ]; }
sub end_prepared
{
	my $condition = shift // 'true';
	sql(any('COMMIT', 'ROLLBACK') . " PREPARED '$_'") for split(/\n/, sql("SELECT gid FROM pg_prepared_xacts WHERE $condition"));
}
sub sql { return $node->safe_psql('postgres', $_[0]); }

# ---- what clients do ----

# Each table ours_x has a twin heap_x with the same columns.  Rows of table a and b are never written twice; those of w are.
sql(q(
	CREATE TABLE ours_a (ts timestamptz NOT NULL, tx bigint, v float8) USING memseries;
	SELECT memseries.configure('ours_a', chunk_interval => '1 second', retain => NULL);
	CREATE TABLE ours_b (ts timestamptz NOT NULL, client int, tx bigint, v float8) USING memseries;
	SELECT memseries.configure('ours_b', retain => NULL);
	CREATE TABLE ours_w (ts timestamptz NOT NULL, k int, v float8) USING memseries;
	SELECT memseries.configure('ours_w', retain => NULL);
	CREATE TABLE heap_a (LIKE ours_a);
	CREATE TABLE heap_b (LIKE ours_b);
	CREATE TABLE heap_w (LIKE ours_w, UNIQUE (ts, k));
	CREATE SEQUENCE seq;
));

my $tx = "SELECT nextval('seq') AS tx \\gset\n";
my $insert = q(
WITH r AS (SELECT clock_timestamp() - i * interval '700 ms' AS ts, i FROM generate_series(0, :n) i),
	a AS (INSERT INTO ours_a (ts, tx, v) SELECT ts, :tx, i FROM r),
	b AS (INSERT INTO heap_a (ts, tx, v) SELECT ts, :tx, i FROM r),
	c AS (INSERT INTO ours_b (ts, client, tx, v) SELECT ts, :client_id, :tx, i FROM r)
INSERT INTO heap_b (ts, client, tx, v) SELECT ts, :client_id, :tx, i FROM r;
);

# The heap's row locks make the order of commits that of the writes.
my $again = q(
WITH r AS (SELECT k, :tx + k AS v FROM generate_series(:k, :k + 2) k)
INSERT INTO heap_w SELECT '2026-01-01', k, v FROM r ON CONFLICT (ts, k) DO UPDATE SET v = EXCLUDED.v;
INSERT INTO ours_w SELECT '2026-01-01', k, :tx + k FROM generate_series(:k, :k + 2) k;
);
my $flush = "SELECT count(*) FROM ours_a WHERE tx = -1;\nSELECT count(*) FROM ours_w WHERE k = -1;\n";
my $start = "\\set n random(0, 4)\n\\set k random(1, 20)\nSET synchronous_commit = :sync;\n$tx";
my %scripts = (
	plain => [ 6, "$insert" ],
	block => [ 4, "BEGIN;\n$insert$again COMMIT;\n" ],
	rollback => [ 3, "BEGIN;\n$insert$flush$again ROLLBACK;\n" ],
	savepoint => [ 3, "BEGIN;\n$insert SAVEPOINT s;\n$tx$insert$flush ROLLBACK TO s;\n$tx$insert SAVEPOINT s2;\n$tx$insert RELEASE s2;\n$flush COMMIT;\n" ],
	released => [ 3, "BEGIN;\nSAVEPOINT s;\n$insert RELEASE s;\n$flush COMMIT;\n" ],
	batches => [ 2, "BEGIN;\n$insert$flush$tx$insert$flush$tx$again$insert COMMIT;\n" ],
	prepared => [ 3, "BEGIN;\n$insert$again PREPARE TRANSACTION 'p:client_id';\nCOMMIT PREPARED 'p:client_id';\n" ],
	undone => [ 1, "BEGIN;\n$insert PREPARE TRANSACTION 'p:client_id';\nROLLBACK PREPARED 'p:client_id';\n" ],
	left => [ 1, "BEGIN;\n$insert PREPARE TRANSACTION 'left_:tx';\n" ],
	large => [ 1, "BEGIN;\nINSERT INTO ours_b SELECT now() - i * interval '1 ms', -i, :tx, i FROM generate_series(1, 3000) i;\n"
		  . "INSERT INTO heap_b SELECT now() - i * interval '1 ms', -i, :tx, i FROM generate_series(1, 3000) i;\nCOMMIT;\n" ],
	checkpoint => [ 1, "CHECKPOINT;\n" ],
	snapshot => [ 1, "SELECT memseries.snapshot();\n" ]);

my $dir = $node->basedir;
my @load;
for my $name (sort keys %scripts)
{
	my ($weight, $text) = @{ $scripts{$name} };
	# half of the transactions do not wait for WAL
	append_to_file("$dir/$name.sql", "\\set s random(0, 1)\n\\if :s = 0\n\\set sync on\n\\else\n\\set sync off\n\\endif\n" =~ s/\\set sync (on|off)\n/"SELECT '$1' AS sync \\gset\n"/ger . $start . $text);
	push @load, '-f', "$dir/$name.sql\@$weight";
}

# Definitions change in one session; the names of tables come from the sequence.
my $twins = sub { my $name = shift; return map { "${_}_$name" } 'ours', 'heap'; };

sub ddl
{
	my $n = int(rand(1e9));
	my ($ours, $heap) = $twins->("d$n");
	my $create = "CREATE TABLE $ours (ts timestamptz NOT NULL, k int, v float8) USING memseries;\n"
	  . "SELECT memseries.configure('$ours', retain => NULL);\nCREATE TABLE $heap (LIKE $ours);\n";
	my $fill = sub {
		my ($from, $rows) = (int(rand(1e6)) * 300, int(rand(100)) + 1);
		return join('', map { "INSERT INTO $_ SELECT timestamptz '2010-01-01' + ($from + i) * interval '1 s', i % 3, i FROM generate_series(1, $rows) i;\n" } $ours, $heap);
	};
	my $filled = "BEGIN;\n$create" . $fill->() . "COMMIT;\n";
	my $flush = "SELECT count(*) FROM $ours;\n";
	my $end = any('COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK');

	return any(
		"BEGIN;\n$create" . $fill->() . "$end;\n",
		"BEGIN;\n$create" . $fill->() . "${flush}TRUNCATE $ours, $heap;\n" . $fill->() . "$end;\n",
		"BEGIN;\n${create}SAVEPOINT s;\n" . $fill->() . "${flush}TRUNCATE $ours, $heap;\nROLLBACK TO s;\n" . $fill->() . "$end;\n",
		"BEGIN;\n$create" . $fill->() . "${flush}SAVEPOINT s;\n" . $fill->() . "${flush}TRUNCATE $ours, $heap;\n" . $fill->() . any('ROLLBACK TO', 'RELEASE') . " s;\n$end;\n",
		"${filled}BEGIN;\nDROP TABLE $ours, $heap;\n$end;\n",
		"${filled}BEGIN;\nTRUNCATE $ours, $heap;\n" . $fill->() . "$end;\n",
		"${filled}BEGIN;\nDROP TABLE $ours, $heap;\nPREPARE TRANSACTION 'ddl$n';\n$end PREPARED 'ddl$n';\n",
		"${filled}VACUUM FULL $ours;\n",
		"${filled}BEGIN;\nALTER TABLE $ours ALTER v TYPE real;\nALTER TABLE $heap ALTER v TYPE real;\n$end;\n",
		"${filled}BEGIN;\nSELECT memseries.delete_samples('$ours', NULL, NULL, 'k = 1');\nDELETE FROM $heap WHERE k = 1;\n" . $fill->() . "$end;\n",
		"BEGIN;\nALTER TABLE heap_a ADD COLUMN n$n float8 DEFAULT $n;\nALTER TABLE ours_a ADD COLUMN n$n float8 DEFAULT $n;\n"
		  . "INSERT INTO heap_a VALUES (now(), -$n, 1);\nINSERT INTO ours_a VALUES (now(), -$n, 1);\n$end;\n",
		"BEGIN;\nTRUNCATE heap_a, ours_a;\n$end;\n",
		"BEGIN;\nTRUNCATE heap_b, ours_b, heap_w, ours_w;\n$end;\n",
		"BEGIN;\nSELECT memseries.configure('ours_b', chunk_interval => '" . any('1 second', '10 seconds', '1 hour', '4 hours') . "');\n$end;\n",
		"CHECKPOINT;\n");
}

sub ddl_file
{
	my $n = shift;
	my $file = "$dir/ddl.sql";
	open(my $out, '>', $file) or die "$file: $!";
	# transactions left prepared keep their locks
	print $out "SET lock_timeout = '200ms';\n";
	print $out ddl() for 1 .. $n;
	close($out) or die "$file: $!";
	return $file;
}

my ($clients, $ddl, $out, $err);

sub start_load
{
	my $before = sql("SELECT last_value FROM seq");
	$clients = start([ 'pgbench', '-n', '-c', 5, '-j', 2, '-T', 600, @load, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err);
	$ddl = start([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-f', ddl_file(400) ], '<', \undef, '>', \my $o, '2>', \my $e);
	$node->poll_query_until('postgres', "SELECT last_value > $before + 10 FROM seq") or die "nothing is written: $err";
}

sub end_load
{
	$clients->finish;
	kill('TERM', $ddl->{KIDS}[0]{PID});
	$ddl->finish;
}

# Undisturbed, everything works.
run_log([ 'pgbench', '-n', '-c', 3, '-t', 30, @load, '-h', $node->host, '-p', $node->port, 'postgres' ]) or die 'the load does not work';
end_prepared();
run_log([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', ddl_file(40), '-o', '/dev/null' ]) or die 'the DDL does not work';

# ---- the standby ----

my $standby;
if ($with_standby)
{
	$node->backup('start');
	$standby = PostgreSQL::Test::Cluster->new('torture_standby');
	$standby->init_from_backup($node, 'start', has_streaming => 1);
	$standby->append_conf('postgresql.conf', "wal_receiver_status_interval = 1\nwal_retrieve_retry_interval = 100ms\n");
	$standby->start;
}

# Servers 17 and 18 look for the state file of a prepared transaction under a wrong name ("FFFFFFFF" and the transaction) when
# a checkpoint wrote it but did not live to be recorded.  The file stays, and for its sake recovery leaves the transaction out;
# the next recovery brings it back, long after its rows were taken for aborted ones: heap tables have then lost what was
# vacuumed.  Such files are removed here, as the server means to.
my $log_seen = 0;

sub remove_stray_state_files
{
	my $log = slurp_file($node->logfile, $log_seen);
	$log_seen += length($log);
	unlink($node->data_dir . "/pg_twophase/00000000$_")
	  for $log =~ m!could not remove file "pg_twophase/FFFFFFFF([0-9A-F]{8})"!g;
}

sub start_again
{
	remove_stray_state_files();
	$node->start;
}

# ---- comparing ----

my $compared = 0;

sub tables { my $on = shift; return split(/\n/, $on->safe_psql('postgres', "SELECT substr(relname, 6) FROM pg_class WHERE relname LIKE 'ours\\_%' ORDER BY 1")); }

# Lost rows and ghosts of all tables, as text; empty if there are none.
sub differences
{
	my $on = shift;
	my @wrong;

	for my $name (tables($on))
	{
		my ($ours, $heap) = $twins->($name);
		my ($lost, $ghosts, $n) = split(/\|/, $on->safe_psql('postgres', qq(
			SELECT (SELECT count(*) FROM (SELECT * FROM $heap EXCEPT ALL SELECT * FROM $ours) x),
				(SELECT count(*) FROM (SELECT * FROM $ours EXCEPT ALL SELECT * FROM $heap) x), (SELECT count(*) FROM $ours))));
		$compared += $n;
		push @wrong, "$name: $lost lost, $ghosts ghosts" if $lost || $ghosts;
	}
	my $check = $on->safe_psql('postgres', 'SELECT * FROM memseries.check()');
	push @wrong, $check if $check ne '';
	return join("\n", @wrong);
}

sub compare
{
	my $when = shift;
	remove_stray_state_files();
	end_prepared("gid LIKE 'ddl%'");	# nobody could look at what they drop
	my $wrong = differences($node);

	is($wrong, '', "nothing is lost, and nothing appears, after $when");
	if (rand() < 0.5)
	{
		end_prepared();
		is(differences($node), '', 'nor when prepared transactions end') if rand() < 0.5;
	}
	if ($standby)
	{
		$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
		is(differences($standby), '', 'nor on the standby');
	}
	# tables made by the way, and columns
	if (rand() < 0.1)
	{
		end_prepared();			# they hold locks
		sql("DROP TABLE ours_$_, heap_$_") for grep { /^d/ } tables($node);
		my @columns = split(/\n/, sql("SELECT attname FROM pg_attribute WHERE attrelid = 'ours_a'::regclass AND attname LIKE 'n%' AND NOT attisdropped"));
		sql("BEGIN; ALTER TABLE ours_a DROP COLUMN $_; ALTER TABLE heap_a DROP COLUMN $_; COMMIT") for @columns;
	}
	return $wrong eq '';
}

# ---- killing ----

# Waits until it holds, also while the server is not there.
sub wait_until
{
	my $condition = shift;
	for (1 .. 1800)
	{
		my ($stdout, $stderr) = ('', '');
		run([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT $condition" ], '<', \undef, '>', \$stdout, '2>', \$stderr);
		return if $stdout eq "t\n";
		usleep(100_000);
	}
	die "it does not become true that $condition";
}

sub pid_of
{
	my $what = shift;
	return sql("SELECT pid FROM memseries.workers WHERE worker = '$what'") if $what =~ /^(guard|keeper)$/;
	return sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$what' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1");
}

# All processes of the server are gone: a new postmaster refuses to start before.
sub wait_gone
{
	my @pids = @_;
	for (1 .. 1800)
	{
		@pids = grep { kill(0, $_) } @pids;
		return if !@pids;
		usleep(100_000);
	}
	die "processes @pids do not end";
}

sub kill_postmaster
{
	my @children = MemseriesNode::kill_postmaster($node->{_pid});
	$node->kill9;
	end_load() if $clients;
	undef $clients;
	wait_gone(@children);
}

# Starts the server, and kills it at a random moment of that.
sub kill_in_recovery
{
	my @command = ('postgres', '-D', $node->data_dir);
	for (1 .. any(1, 2))
	{
		remove_stray_state_files();
		my $server = start(\@command, '<', \undef, '>>', $node->logfile, '2>>', $node->logfile);
		usleep(rand(700_000));
		my @children = MemseriesNode::kill_postmaster($server->{KIDS}[0]{PID});
		eval { $server->finish };
		wait_gone(@children);
	}
}

my %ways = (
	'an immediate stop' => sub { $node->stop('immediate'); end_load(); start_again(); },
	'a fast stop' => sub { $node->stop('fast'); end_load(); start_again(); },
	'a kill of the postmaster' => sub { kill_postmaster(); start_again(); },
	'kills during recovery' => sub { $node->stop('immediate'); end_load(); kill_in_recovery(); start_again(); },
	'a stop right after the start' => sub { $node->stop('immediate'); end_load(); start_again(); $node->stop(any('immediate', 'fast')); start_again(); },
	(map { my $what = $_; ("a kill of the $what" => sub {
		my $pid = pid_of($what);
		kill('KILL', $pid) if $pid ne '';
		end_load();
		wait_until("count(*) = 2 FROM memseries.workers WHERE pid <> " . ($pid || 0) . " AND state = 'idle'");
	}) } 'client backend', 'guard', 'keeper', 'checkpointer', 'walwriter'),
	'a termination of the guard' => sub {
		sql('SELECT pg_terminate_backend(pid) FROM memseries.workers WHERE worker = $$guard$$');
		usleep(rand(500_000));
		$node->stop(any('immediate', 'fast')); end_load(); start_again();
	});

my %count;
my $good = 1;
for my $i (1 .. $kills)
{
	# each way once in a while, however few there are
	my @ways = sort { ($count{$a} // 0) <=> ($count{$b} // 0) || rand() <=> 0.5 } sort keys %ways;
	my $way = $kills < 20 ? any(@ways[ 0 .. 3 ]) : any(keys %ways);

	start_load();
	usleep(rand(1_200_000));
	if ($standby && rand() < 0.4)
	{
		$standby->stop(any('fast', 'immediate'));
		$count{'stops of the standby'}++;
	}
	$ways{$way}->();
	undef $clients;
	$count{$way}++;
	$standby->start if $standby && !-e $standby->data_dir . '/postmaster.pid';
	$good &= compare("$way ($i)");
	last if !$good;
}
my $report = join("\n", (map { "$count{$_} times $_" } sort keys %count), "$compared rows compared");
$kills < 20 ? note($report) : diag($report);

$standby->stop if $standby;
$node->stop;
done_testing();
