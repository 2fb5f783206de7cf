# Measures this machine once a second, for ever, and inserts what it finds.
#
#   awk -v psql=COMMAND -f sample.awk
#
# Every second it runs the given command, a psql, and sends it one INSERT for table machine (the machine as a whole)
# and one for table device (a row per measurement of each CPU, disk and network interface), in one transaction.  Rates
# are differences between two looks at counters in /proc, so the first look inserts nothing.  A psql that fails, as
# while the server restarts, loses that second's samples and nothing else.

function cpu_line(name, user, system_, iowait, total,    busy, all)
{
	if ((name, "total") in last && total > last[name, "total"]) {
		all = total - last[name, "total"]
		busy = 100 * (user + system_ - last[name, "user"] - last[name, "system"]) / all
		if (name == "cpu") {
			cpu_user = 100 * (user - last[name, "user"]) / all
			cpu_system = 100 * (system_ - last[name, "system"]) / all
			cpu_iowait = 100 * (iowait - last[name, "iowait"]) / all
			have_cpu = 1
		} else
			add(name, "busy %", busy)
	}
	last[name, "user"] = user
	last[name, "system"] = system_
	last[name, "iowait"] = iowait
	last[name, "total"] = total
}

# A counter of bytes: its rate goes into the table.  A counter may start anew.
function counter(device, metric, bytes,    rate)
{
	if ((device, metric) in last && seconds > 0) {
		rate = (bytes - last[device, metric]) / seconds
		if (rate >= 0)
			add(device, metric, rate)
	}
	last[device, metric] = bytes
}

function add(device, metric, value)
{
	rows = rows (rows == "" ? "" : ", ") sprintf("(now(), '%s', '%s', %.1f)", device, metric, value)
}

function read_cpu(    line, f, i, total)
{
	while ((getline line < "/proc/stat") > 0) {
		if (line !~ /^cpu/)
			continue
		split(line, f)
		total = 0
		for (i = 2; i <= 9; i++)
			total += f[i]
		cpu_line(f[1], f[2] + f[3], f[4] + f[7] + f[8], f[6], total)
	}
	close("/proc/stat")
}

function read_memory(    line, f, kb)
{
	while ((getline line < "/proc/meminfo") > 0) {
		split(line, f)
		kb[f[1]] = f[2]
	}
	close("/proc/meminfo")
	mem_used = (kb["MemTotal:"] - kb["MemAvailable:"]) / 1024
}

function read_load(    line, f)
{
	getline line < "/proc/loadavg"
	close("/proc/loadavg")
	split(line, f)
	load = f[1]
}

function read_disks(    line, f)
{
	while ((getline line < "/proc/diskstats") > 0) {
		split(line, f)
		if (!(f[3] in disk))
			continue
		counter(f[3], "read bytes/s", f[6] * 512)
		counter(f[3], "written bytes/s", f[10] * 512)
	}
	close("/proc/diskstats")
}

function read_network(    line, f)
{
	while ((getline line < "/proc/net/dev") > 0) {
		if (line !~ /:/)
			continue
		sub(/:/, " ", line)
		split(line, f)
		counter(f[1], "received bytes/s", f[2])
		counter(f[1], "sent bytes/s", f[10])
	}
	close("/proc/net/dev")
}

function uptime(    line, f)
{
	getline line < "/proc/uptime"
	close("/proc/uptime")
	split(line, f)
	return f[1]
}

BEGIN {
	# Whole disks, no partitions, nor what is only a file or memory.
	while (("ls /sys/block 2>/dev/null" | getline name) > 0)
		if (name !~ /^(loop|ram|zram|sr|fd)/)
			disk[name] = 1
	before = uptime()
	for (;;) {
		now = uptime()
		seconds = now - before
		before = now
		rows = ""
		have_cpu = 0
		read_cpu()
		read_memory()
		read_load()
		read_disks()
		read_network()
		if (have_cpu && rows != "") {
			print "BEGIN;" | psql
			printf("INSERT INTO machine VALUES (now(), 'this', %.2f, %.2f, %.2f, %s, %.1f);\n", cpu_user,
				cpu_system, cpu_iowait, load, mem_used) | psql
			print "INSERT INTO device VALUES " rows ";" | psql
			print "COMMIT;" | psql
			close(psql)
		}
		if (system("sleep 1") != 0)
			exit
	}
}
