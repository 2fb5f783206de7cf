# Makes up a fleet: a row per host and step, in COPY text format, ordered by time.
#
#   awk -v hosts=200 -v step=30 -v start=SECONDS -v end=SECONDS -f fleet.awk
#
# Columns: time, host, service, region, cpu (%), memory (%), disk (%), load, requests (a counter).  Each value walks at
# random within its bounds, with the precision that an agent would report.  The same arguments give the same rows.

function walk(value, by, low, high)
{
	value += by * (rand() + rand() - 1)
	return value < low ? low : value > high ? high : value
}

BEGIN {
	srand(1)
	split("web api worker cache db", service)
	split("eu us asia", region)
	for (h = 1; h <= hosts; h++) {
		labels[h] = sprintf("%s%03d\t%s\t%s", service[h % 5 + 1], h, service[h % 5 + 1], region[h % 3 + 1])
		cpu[h] = 10 + 50 * rand()
		memory[h] = 20 + 60 * rand()
		disk[h] = 10 + 70 * rand()
		requests[h] = int(1e6 * rand())
	}
	for (t = start; t < end; t += step) {
		when = strftime("%Y-%m-%d %H:%M:%S+00", t, 1)
		for (h = 1; h <= hosts; h++) {
			cpu[h] = walk(cpu[h], 3, 0, 100)
			memory[h] = walk(memory[h], 0.5, 5, 98)
			if (rand() < 0.05)
				disk[h] = walk(disk[h], 0.4, 1, 99)
			requests[h] += int(cpu[h] * (2 + rand()))
			printf("%s\t%s\t%.1f\t%.1f\t%.1f\t%.2f\t%d\n", when, labels[h], cpu[h], memory[h], disk[h],
				cpu[h] / 25, requests[h])
		}
	}
}
