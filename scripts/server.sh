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

server_begin()
{
	local name=$1
	shift

	forget_pg_variables
	export LC_ALL=C.UTF-8 PGTZ=UTC PGDATABASE=postgres PGUSER=postgres PGPORT=5432 PGAPPNAME="memseries $name"

	run=$(server_tempdir "$name")
	cp "$top/scripts/throwaway-server" "$run/"
	chmod 755 "$run/throwaway-server"
	server_install "$run" || exit 1
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
