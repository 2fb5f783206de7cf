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
package MemseriesNode;

use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

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

1;
