# A server for TAP tests with memseries loaded, on top of PostgreSQL::Test::Cluster.
#
#   use FindBin;
#   use lib "$FindBin::RealBin/lib";
#   use MemseriesNode;
#
#   my $node = MemseriesNode->start('primary', conf => "memseries.memory = '64MB'\n");
#   is($node->safe_psql('postgres', 'SELECT 1'), '1');
#
# Options: conf (settings that come last and so win), init (arguments for init), extension (0 to leave out
# CREATE EXTENSION in database postgres).
#
#   MemseriesNode::settle($node) or die;
#
# waits until the keeper has nothing left to do; as long as nobody writes, figures are then all of one moment.
package MemseriesNode;

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

sub start
{
	my ($class, $name, %opt) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%{ $opt{init} || {} });
	$node->append_conf('postgresql.conf', slurp_file($ENV{MEMSERIES_CONF}));
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION memseries')
	  unless defined $opt{extension} && !$opt{extension};
	return $node;
}

sub settle
{
	my $node = shift;

	# a window is sealed a sixteenth of its length after its end
	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM memseries.windows
		WHERE runs > 0 OR state = 'open' AND window_end < now() - (window_end - window_start) / 16)") or return 0;
	my $rounds = $node->safe_psql('postgres', "SELECT rounds FROM memseries.workers WHERE worker = 'keeper'");
	return $node->poll_query_until('postgres', "SELECT rounds > $rounds + 2 FROM memseries.workers WHERE worker = 'keeper'");
}

# Kills a postmaster by its pid; returns the pids of its children, which have yet to notice.  It is stopped first: one that
# it started in between would keep the data directory in use without anybody knowing.
sub kill_postmaster
{
	my $pid = shift;

	kill('STOP', $pid);
	for (1 .. 1800)
	{
		last if (eval { slurp_file("/proc/$pid/stat") } // '') !~ /\) [RSD] /;
		usleep(10_000);
	}
	my @children = map { m!/(\d+)/! } grep { (eval { slurp_file($_) } // '') =~ /\) \S $pid / } glob('/proc/[0-9]*/stat');
	kill('KILL', $pid);
	return @children;
}

1;
