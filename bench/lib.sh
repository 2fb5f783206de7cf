# Shell functions shared by the benchmarks; sourced by bash, never run.
#
# What every benchmark takes from the environment:
#
#   BENCH_HOSTS    hosts (1000)                 BENCH_ROUNDS   rounds, of which the median is shown (3)
#   BENCH_HOURS    hours of rows (4)            BENCH_MEMORY   memseries.memory (2GB)
#   TMPDIR         where data and server lie    PG_CONFIG      which server

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$top/scripts/lib.sh"
. "$top/scripts/server.sh"

umask 022
export LC_ALL=C.UTF-8

bench_hosts=${BENCH_HOSTS:-1000}
bench_hours=${BENCH_HOURS:-4}
bench_rounds=${BENCH_ROUNDS:-3}
bench_memory=${BENCH_MEMORY:-2GB}

# The columns of the TSBS-like cpu table.
cpu_columns='ts timestamptz NOT NULL, hostname text, region text, datacenter text,
	usage_user float8, usage_system float8, usage_idle float8, usage_nice float8, usage_iowait float8,
	usage_irq float8, usage_softirq float8, usage_steal float8, usage_guest float8, usage_guest_nice float8'

# bench_begin NAME [CONF...]: a server and the row generator.
bench_begin()
{
	server_begin "bench-$1" "$top/bench/server.conf" <(echo "memseries.memory = '$bench_memory'") "${@:2}"
	gcc -O2 -std=c99 -D_GNU_SOURCE -o "$run/cpu_gen" "$top/bench/cpu_gen.c" -lm
	# The server reads and writes files here, whoever it runs as.
	mkdir "$run/data"
	chmod 777 "$run/data"
}

cpu_gen()
{
	"$run/cpu_gen" "$@"
}

title()
{
	printf '\n== %s\n' "$*"
}

note()
{
	printf '   %s\n' "$@"
}

# sql_ms COMMAND...: how long the last of these commands took, in ms, as psql measures it.
sql_ms()
{
	local args=() command
	for command in "$@"; do
		args+=(-c "$command")
	done
	psql -Xqt -v ON_ERROR_STOP=1 -c '\timing on' "${args[@]}" >"$run/timing"
	awk '/^Time:/ { ms = $2 } END { if (ms == "") exit 1; print ms }' "$run/timing"
}

# The clock in ms.
now_ms()
{
	local t=$EPOCHREALTIME
	echo $((${t/./} / 1000))
}

# CPU time in ms that the server has used since its start: the postmaster, its children, and those that have ended.
server_cpu_ms()
{
	{ cat /proc/[0-9]*/stat 2>/dev/null || true; } |
		awk -v postmaster="$(head -n 1 "$run/server/pgdata/postmaster.pid")" -v hz="$(getconf CLK_TCK)" '
			{ pid = $1; sub(/^.*\) /, "") }
			pid == postmaster { t += $12 + $13 + $14 + $15 }
			$2 == postmaster { t += $12 + $13 }
			END { printf "%.0f", t * 1000 / hz }'
}

median()
{
	tr ' ' '\n' | grep . | sort -g | awk '{ v[NR] = $1 }
		END { if (NR == 0) exit 1; print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# calc EXPRESSION [FORMAT]
calc()
{
	awk "BEGIN { printf \"${2:-%.2f}\", $1 }"
}

# wait_for SECONDS CONDITION: poll until an SQL condition holds.
wait_for()
{
	local end=$((SECONDS + $1)) answer
	while answer=$(sql -c "SELECT $2"); [ "$answer" != t ]; do
		[ $SECONDS -lt $end ] || die "after $1 s it still does not hold that $2"
		sleep 0.05
	done
}

# Until the keeper has nothing left to do for a table: rows folded, and windows that are over sealed.
wait_folded()
{
	wait_for 600 "runs = 0 FROM memseries.tables WHERE relation = '$1'::regclass"
}

wait_sealed()
{
	wait_for 600 "runs = 0 AND sealed_windows = windows FROM memseries.tables WHERE relation = '$1'::regclass"
}

# All memory taken from the segment, bookkeeping included.
in_use()
{
	sql -c 'SELECT in_use_bytes FROM memseries.memory'
}

# One line on what the figures were measured on.
describe_machine()
{
	local cpu
	cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
	echo "$(nproc) cores, ${cpu:-$(uname -m)}, $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)," \
		"$("$(find_pg_config)" --version), load $(cut -d' ' -f1-3 /proc/loadavg)"
}
