# Crash recovery replays more tables and more data than there ever was room for at one time.
#
# Dropping and truncating are PostgreSQL's records, which memseries does not see in replay; it has to notice by itself
# which tables are gone, before the directory or memory is full.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use MemseriesNode;
use Test::More;

my $node = MemseriesNode->start('redo', conf => "memseries.memory = '32MB'\nmemseries.max_tables = 10\n");

$node->safe_psql('postgres', q{
	CREATE TABLE kept (ts timestamptz NOT NULL, host text, v float8) USING memseries;
	INSERT INTO kept SELECT now(), 'h' || i, i FROM generate_series(1, 100) i;
	CHECKPOINT;
	DO $$
	BEGIN
		-- dropped, rolled back, in the transaction that made it or later
		FOR i IN 1 .. 60 LOOP
			BEGIN
				CREATE TABLE t (ts timestamptz NOT NULL, v float8) USING memseries;
				INSERT INTO t VALUES (now(), i);
				IF i % 3 = 0 THEN
					RAISE division_by_zero;
				END IF;
			EXCEPTION WHEN division_by_zero THEN
				CREATE TABLE t (ts timestamptz NOT NULL, v float8) USING memseries;
			END;
			IF i % 2 = 0 THEN
				COMMIT;
			END IF;
			DROP TABLE t;
			COMMIT;
		END LOOP;
	END $$;
	CREATE TABLE big (ts timestamptz NOT NULL, label text, v float8) USING memseries;
	DO $$
	BEGIN
		FOR i IN 1 .. 8 LOOP
			INSERT INTO big SELECT now(), repeat(md5(s::text || i), 2000), s FROM generate_series(1, 250) s;
			COMMIT;
			TRUNCATE big;
			COMMIT;
		END LOOP;
	END $$;
	INSERT INTO big SELECT now(), 'x', i FROM generate_series(1, 10) i;
	INSERT INTO kept SELECT now(), 'late', 1;
});
my $question = 'SELECT count(*), sum(v) FROM kept UNION ALL SELECT count(*), sum(v) FROM big';
my $expected = $node->safe_psql('postgres', $question);
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', $question), $expected, 'all that was committed is there');
is($node->safe_psql('postgres', 'SELECT count(*) FROM memseries.tables'), 2, '... and nothing else');
is($node->safe_psql('postgres', 'SELECT * FROM memseries.check()'), '', 'memory is valid');
cmp_ok($node->safe_psql('postgres', 'SELECT in_use_bytes FROM memseries.memory'), '<', 8 * 1024 * 1024, 'and mostly free');
$node->stop;
done_testing();
