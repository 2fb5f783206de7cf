# A server of one's own, for scripts that show or measure something; sourced by bash after lib.sh, never run.
#
#   server_begin NAME [CONF...]   build the extension, install it into a private tree, start a server with it;
#                                 the files are appended to its postgresql.conf
#   server_stop [MODE]            stop it (fast), keep the data
#   server_again                  start it again
#   sql COMMAND...                psql, unaligned, stops at the first error
#
# Everything lies in one folder below the temporary folder, $run, and goes with the script however that ends: the
# server is stopped by its pid file.  It listens on a socket in that folder and on nothing else.  PostgreSQL
# refuses root, so under root the server runs as user postgres.
#
# The build is kept in build/ of the source, where the checks keep theirs, or in $run if that is not ours to write.

run=
server_background=
server_starting=no

# Another process that must end with the script.
server_end_with()
{
	server_background="$server_background $1"
}

server_cleanup()
{
	local pid i
	trap '' INT TERM HUP
	for pid in $server_background; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
	done
	[ -n "$run" ] || return 0
	cd /
	# Interrupted while it starts, it may be there only in a moment.
	for i in 1 2 3 4 5 6 7 8 9 10; do
		[ $server_starting = yes ] && [ ! -e "$run/server/pgdata/postmaster.pid" ] || break
		sleep 0.1
	done
	if [ -e "$run/server/pgdata/postmaster.pid" ]; then
		server_stop immediate 2>/dev/null ||
			kill -QUIT "$(head -n 1 "$run/server/pgdata/postmaster.pid")" 2>/dev/null || true
	fi
	rm -rf "$run" || { sleep 1; rm -rf "$run"; }
}
trap server_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

server_do()
{
	(cd "$run" && PATH="$server_bindir:$PATH" as_server_user "$run/throwaway-server" "$@")
}

server_stop()
{
	server_do stop "$run/server" "${1:-fast}"
}

server_again()
{
	server_starting=yes
	server_do again "$run/server"
	server_starting=no
}

sql()
{
	psql -XqAt -v ON_ERROR_STOP=1 "$@"
}

# Build and install the extension; sets pg_config and server_bindir.
server_install()
{
	local major objects lock

	pg_config=$(find_pg_config)
	major=$(pg_major "$pg_config")
	pg_config=$("$top/scripts/private-server" "$run/root" "$major")
	objects=$top/build/pg$major
	if ! { mkdir -p "$objects" && [ -w "$objects" ] && : >>"$top/build/.lock"; } 2>/dev/null; then
		objects=$run/objects
		mkdir -p "$objects"
		lock=$run/lock
	else
		lock=$top/build/.lock
	fi
	# Bitcode is for inlining into JIT code, which gains nothing here.
	if ! flock "$lock" sh -c 'make -s -j"$(nproc)" -C "$1" -f "$2" PG_CONFIG="$3" with_llvm=no all &&
		make -s -C "$1" -f "$2" PG_CONFIG="$3" with_llvm=no install' \
		build "$objects" "$top/Makefile" "$pg_config" >"$run/build.log" 2>&1; then
		cat "$run/build.log" >&2
		die "the extension does not build"
	fi
	server_bindir=$("$pg_config" --bindir)
}

server_begin()
{
	local name=$1
	shift

	# Nothing of the caller's surroundings may lead elsewhere.
	local kept=${PG_CONFIG:-}
	unset $(compgen -v PG) || true
	[ -z "$kept" ] || PG_CONFIG=$kept
	export LC_ALL=C.UTF-8 PGTZ=UTC PGDATABASE=postgres PGUSER=postgres PGPORT=5432 PGAPPNAME="memseries $name"

	# A socket's path may have 107 bytes.
	if [ -n "${TMPDIR:-}" ] && [ ${#TMPDIR} -gt 60 ]; then
		TMPDIR=/tmp
	fi
	run=$(server_tempdir "$name")
	cp "$top/scripts/throwaway-server" "$run/"
	chmod 755 "$run/throwaway-server"
	server_install
	if [ $# -gt 0 ]; then
		cat "$@" >"$run/extra.conf"
	else
		: >"$run/extra.conf"
	fi
	chmod 644 "$run/extra.conf"
	server_starting=yes
	server_do start "$run/server" "$run/extra.conf"
	server_starting=no
	export PATH="$server_bindir:$PATH" PGHOST="$run/server"
	cd "$run"
	sql -c 'CREATE EXTENSION memseries'
}
