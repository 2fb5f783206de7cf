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

# Nothing of the caller's surroundings may lead our clients elsewhere.
forget_pg_variables()
{
	local kept=${PG_CONFIG:-}
	unset $(compgen -v PG) || true
	[ -z "$kept" ] || export PG_CONFIG="$kept"
}

# A fresh folder that the server's user can write to and everybody can read.  A socket in it has a path of at
# most 107 bytes, so a long $TMPDIR will not do.
server_tempdir()
{
	local dir
	[ -z "${TMPDIR:-}" ] || [ ${#TMPDIR} -le 60 ] || TMPDIR=/tmp
	dir=$(mktemp -d "${TMPDIR:-/tmp}/memseries-$1.XXXXXX")
	chmod 755 "$dir"
	if [ "$(id -u)" -eq 0 ]; then
		chown postgres: "$dir"
	fi
	echo "$dir"
}

# server_install RUN: make a private server tree in RUN/root, build the extension, install it there; sets
# pg_config and server_bindir.  Objects are kept in build/ for the next time, or in RUN if that is not ours to
# write.  Fails after printing why.
server_install()
{
	local run=$1 major objects lock

	pg_config=$(find_pg_config) || return 1
	major=$(pg_major "$pg_config")
	pg_config=$("$top/scripts/private-server" "$run/root" "$major") || return 1
	objects=$top/build/pg$major
	lock=$top/build/.lock
	if ! { mkdir -p "$objects" && [ -w "$objects" ] && : >>"$lock"; } 2>/dev/null; then
		objects=$run/objects
		lock=$run/lock
		mkdir -p "$objects"
	fi
	# Bitcode is for inlining into JIT code, which gains nothing here.
	if ! flock "$lock" sh -c 'make -s -j"$(nproc)" -C "$1" -f "$2" PG_CONFIG="$3" with_llvm=no all &&
		make -s -C "$1" -f "$2" PG_CONFIG="$3" with_llvm=no install' \
		build "$objects" "$top/Makefile" "$pg_config" >"$run/build.log" 2>&1; then
		cat "$run/build.log" >&2
		echo "memseries: the extension does not build" >&2
		return 1
	fi
	server_bindir=$("$pg_config" --bindir)
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
