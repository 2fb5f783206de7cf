# Shell functions shared by the scripts of this folder; sourced by bash, never run.
#
# The tally: every suite appends lines "SUITE PASSED FAILED SKIPPED" to the file $MS_TALLY.  Whoever is
# outermost creates that file, and prints the sum as its last line; whoever finds it already there only adds.

# A make above us must not lend its flags and variables to those below.
unset MAKEFLAGS MFLAGS MAKELEVEL

die()
{
	echo "memseries: $*" >&2
	exit 1
}

# The newest server installed here that extensions can be built for, or the one asked for.  A plain PG_CONFIG
# from the environment wins.
find_pg_config()
{
	local version=${1:-} candidate

	if [ -z "$version" ] && [ -n "${PG_CONFIG:-}" ]; then
		command -v "$PG_CONFIG" || die "no pg_config at $PG_CONFIG"
		return
	fi
	for candidate in $(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -t/ -k5,5nr) \
		$(command -v pg_config || true); do
		[ -z "$version" ] || "$candidate" --version | grep -q "^PostgreSQL $version\b" || continue
		[ -e "$("$candidate" --pgxs 2>/dev/null)" ] || continue
		echo "$candidate"
		return
	done
	die "no PostgreSQL ${version:-15 or newer} with server headers here; scripts/install-deps installs it"
}

# The version that the control file in the current folder states.
control_version()
{
	sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" memseries.control
}

pg_major()
{
	"$1" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'
}

# Run a command as somebody the server accepts, since PostgreSQL refuses root.  Stand in a folder that he may enter.
as_server_user()
{
	if [ "$(id -u)" -eq 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

# A fresh folder that the server's user can write to and everybody can read.
server_tempdir()
{
	local dir
	dir=$(mktemp -d "${TMPDIR:-/tmp}/memseries-$1.XXXXXX")
	chmod 755 "$dir"
	if [ "$(id -u)" -eq 0 ]; then
		chown postgres: "$dir"
	fi
	echo "$dir"
}

# Begin a tally unless a caller has one; sets tally_owner.
tally_begin()
{
	if [ -n "${MS_TALLY:-}" ]; then
		tally_owner=no
	else
		tally_owner=yes
		MS_TALLY=$(mktemp)
		export MS_TALLY
	fi
}

# tally SUITE PASSED FAILED [SKIPPED].  A suite that ran no test has failed.
tally()
{
	local failed=$3
	if [ $(($2 + $3)) -eq 0 ]; then
		echo "-- $1 ran no test"
		failed=1
	fi
	echo "$1 $2 $failed ${4:-0}" >>"$MS_TALLY"
	echo "== $1: $2 ok, $failed not ok, ${4:-0} skipped"
}

# Print the sum if this script began the tally.  Fails when a test failed or none ran.
tally_end()
{
	[ "$tally_owner" = yes ] || return 0
	awk '{ p += $2; f += $3; s += $4 }
		{ if ($3 > 0) bad = bad " " $1 }
		END {
			if (bad != "") print "\nfailed:" bad
			if (p + f == 0) f = 1
			line = p + 0 " passed, " f + 0 " failed"
			print line (s > 0 ? ", " s " skipped" : "")
			exit f > 0
		}' "$MS_TALLY" && tally_status=0 || tally_status=1
	rm -f "$MS_TALLY"
	return $tally_status
}
