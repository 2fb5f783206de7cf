# The same writes, crashes and recoveries under each configuration of the server that changes what WAL holds, what recovery
# starts from, or where memory lies.
#
# Each memseries table has a heap twin that goes through the same transactions; after each recovery both must be equal.
# PostgreSQL leaves the twin's rows out of WAL where it may (wal_level = minimal), and has its pages in WAL where it must.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = MemseriesNode->start(
	'configurations',
	init => { allows_streaming => 1, extra => ['--wal-segsize=1'] },
	conf => "checkpoint_timeout = 1h\nautovacuum = off\nmax_prepared_transactions = 10\nmemseries.memory = '64MB'\nmemseries.keeper_naptime = '50ms'\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

my %using = (ours => 'USING memseries', heap => '');
my @tables = qw(t made cut copied rewritten);
my $time = 0;
my $prepared = 0;

# A file for COPY, with rows that no other one has.
sub file_of
{
	my $from = shift;
	my $file = $node->basedir . "/$from.tsv";
	append_to_file($file, join('', map { sprintf("2026-01-01 00:00:%02d+00\t%d\t%d\n", $_ % 60, $from + $_, $_) } 1 .. 300)) if !-e $file;
	return $file;
}

# The text for both kinds of table: TABLE(x) is the table's name, MAKE(x) makes it, ROWS(x) and COPY(x) fill it, each
# time with other rows.
sub both
{
	my $text = shift;
	my $start = $time;
	my @both;

	for my $kind ('ours', 'heap')
	{
		$time = $start;
		push @both, $text =~ s{\b(TABLE|MAKE|ROWS|COPY)\((\w+)\)}{
			my ($what, $table) = ($1, "$kind\_$2");
			my $from = $what =~ /ROWS|COPY/ ? ($time += 1000) : 0;
			$what eq 'TABLE' ? $table :
			$what eq 'MAKE' ? "CREATE TABLE $table (ts timestamptz NOT NULL, k int, v float8) $using{$kind}" .
				($kind eq 'ours' ? "; SELECT memseries.configure('$table', retain => NULL)" : '') :
			$what eq 'ROWS' ? "INSERT INTO $table SELECT timestamptz '2026-01-01' + ($from + i) * interval '1 s', i % 7, i FROM generate_series(1, 500) i" :
			"COPY $table FROM '" . file_of($from) . "'"
		}ger;
	}
	return @both;
}

# In one transaction, so that no crash can part the twins.
sub together { sql("BEGIN;\n" . join(";\n", both($_[0])) . ";\n" . ($_[1] || 'COMMIT')); }

# What a transaction ends differently for each is written twice.
sub each_alone { sql("BEGIN;\n$_;\nCOMMIT") for both($_[0]); }

# Left out of WAL where that may be: whatever is filled in the transaction that made it.
sub make_and_fill
{
	sql("DROP TABLE IF EXISTS ours_$_, heap_$_") for 'made', 'cut', 'copied', 'rewritten';
	together('MAKE(made); COPY(made)');
	together('MAKE(cut); ROWS(cut)');
	each_alone('TRUNCATE TABLE(cut); COPY(cut)');
	each_alone('TRUNCATE TABLE(cut); ROWS(cut); SAVEPOINT a; TRUNCATE TABLE(cut); COPY(cut); ROLLBACK TO a; ROWS(cut); SAVEPOINT b; COPY(cut); RELEASE b');
	each_alone('SAVEPOINT a; TRUNCATE TABLE(cut); COPY(cut); RELEASE a; SELECT count(*) FROM TABLE(cut); ROWS(cut)');
	each_alone('SAVEPOINT a; MAKE(copied); ROWS(copied); ROLLBACK TO a; MAKE(copied); COPY(copied); SELECT count(*) FROM TABLE(copied); ROWS(copied)');
	together('MAKE(rewritten); ROWS(rewritten)');
	each_alone('ALTER TABLE TABLE(rewritten) ALTER k TYPE bigint; ROWS(rewritten)');
	sql('VACUUM FULL ours_rewritten');
	together('TRUNCATE TABLE(cut); COPY(cut); SELECT count(*) FROM TABLE(cut); DROP TABLE TABLE(made)', 'ROLLBACK');
}

sub change
{
	together('ROWS(t)');
	together('COPY(t)');
	together('ROWS(t); SAVEPOINT a; ROWS(t); SELECT count(*) FROM TABLE(t); SAVEPOINT b; COPY(t); RELEASE b');
	each_alone('ROWS(t); SAVEPOINT a; ROWS(t); SELECT count(*) FROM TABLE(t); ROLLBACK TO a; COPY(t)');
	together('COPY(t); SELECT count(*) FROM TABLE(t)', 'ROLLBACK');
	sql("COMMIT PREPARED 'p$prepared'") if $prepared;
	$prepared++;
	together('ROWS(t); SELECT count(*) FROM TABLE(t)', "PREPARE TRANSACTION 'p$prepared'");
}

sub differences
{
	my $of = shift || $node;
	my @wrong;

	for my $table (@tables)
	{
		my $wrong = $of->safe_psql('postgres', qq(
			SELECT (SELECT count(*) FROM (SELECT * FROM heap_$table EXCEPT ALL SELECT * FROM ours_$table) x) || ' lost, ' ||
				(SELECT count(*) FROM (SELECT * FROM ours_$table EXCEPT ALL SELECT * FROM heap_$table) x) || ' ghosts of ' || (SELECT count(*) > 200 FROM heap_$table)));
		push @wrong, "$table: $wrong" if $wrong ne '0 lost, 0 ghosts of true';
	}
	return join("\n", @wrong, $of->safe_psql('postgres', 'SELECT * FROM memseries.check()'));
}

sub write_and_crash
{
	my $what = shift;

	make_and_fill();
	change();
	$node->stop('immediate');
	$node->start;
	is(differences(), '', "$what: a crash");
	change();
	sql('CHECKPOINT');
	make_and_fill();
	change();
	$node->stop('immediate');
	$node->start;
	is(differences(), '', 'a checkpoint and a crash');
}

sub under
{
	my ($what, $conf) = @_;
	$node->append_conf('postgresql.conf', $conf);
	$node->restart;
	is(differences(), '', 'an orderly restart') if $what !~ /comes/;
	write_and_crash($what);
}

together('MAKE(t); ROWS(t)');

under('as PostgreSQL comes', '');
under('wal_level = minimal', "wal_level = minimal\nmax_wal_senders = 0\nwal_skip_threshold = 0\n");
under('wal_level = minimal, small tables logged', "wal_skip_threshold = 1GB\n");
under('full_page_writes = off, wal_level = logical', "wal_level = logical\nmax_wal_senders = 10\nfull_page_writes = off\n");
under('wal_compression, all records checked by replay', "full_page_writes = on\nwal_compression = on\nwal_consistency_checking = all\n");

# off in the beginning before 18, on since then
my $checksums = sql('SHOW data_checksums') eq 'on' ? 'off' : 'on';
$node->stop;
system_or_bail('pg_checksums', $checksums eq 'on' ? '--enable' : '--disable', '--no-sync', '-D', $node->data_dir);
$node->start;
is(sql('SHOW data_checksums'), $checksums, "data checksums are $checksums");
under("data checksums $checksums, huge_pages = try", "wal_compression = off\nwal_consistency_checking = ''\nwal_level = replica\nhuge_pages = try\n");
SKIP:
{
	$node->append_conf('postgresql.conf', "huge_pages = on\n");
	$node->stop;
	if (!$node->start(fail_ok => 1))
	{
		$node->append_conf('postgresql.conf', "huge_pages = off\n");
		$node->start;
		skip('this machine has not enough huge pages set aside for huge_pages = on', 2);
	}
	write_and_crash('huge_pages = on');
	$node->append_conf('postgresql.conf', "huge_pages = off\n");
	$node->restart;
}

# From a backup and the archive; crashes, and whatever the primary's own recoveries wrote, are in WAL too.
$node->enable_archiving;
$node->restart;
$node->backup('base');
write_and_crash('with an archive');
sql('SELECT pg_switch_wal()');
my $last = sql('SELECT pg_walfile_name(pg_current_wal_lsn() - 1)');
$node->poll_query_until('postgres', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver") or die 'not archived';
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
$restored->append_conf('postgresql.conf', "archive_mode = off\n");
$restored->start;
$restored->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery does not end';
is(differences($restored), '', 'archive recovery');
is($restored->safe_psql('postgres', 'SELECT count(*) FROM ours_t'), sql('SELECT count(*) FROM ours_t'), 'to the end');
$restored->stop('immediate');
$restored->start;
is(differences($restored), '', 'a crash after it');

$restored->stop;
$node->stop;
done_testing();
