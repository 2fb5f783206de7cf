# Draws doc/fragmentation.svg from what bench/fragmentation.c prints: the gap of each memory by hour, and a legend that
# is a table of figures.  On a ground of its own, light or dark as the reader likes it.
#
#   awk -F'\t' -f fragmentation.awk core.tsv

function x(h) { return left + h / hours * width }
function y(g) { return top + height - g / ymax * height }
function text(cls, px, py, s, attr) { printf "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", cls, px, py, attr, s }
function line(cls, x1, y1, x2, y2) { printf "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", cls, x1, y1, x2, y2 }

function curve(k, i)
{
	printf "<polyline class=\"c m%d\" points=\"", k
	for (i = 1; i <= NR; i++)
		printf "%.1f,%.1f ", x(hour[i]), y(gap[k, i])
	print "\"/>"
}

# A line of the legend: name, worst gap, peak of memory against the same allocator without a restart.
function row(k, name, same, peak_of, cls)
{
	line("c m" k, right, ly - 5, right + 26, ly - 5)
	text(cls, right + 36, ly, name)
	text(cls, 866, ly, sprintf("%.1f%%", worst[k]), "text-anchor=\"end\"")
	peak_of = (peak[k] / peak[same] - 1) * 100
	text(cls, 936, ly, k == same ? "" : peak_of > -0.5 && peak_of < 0.5 ? "+0%" : sprintf("%+.0f%%", peak_of), "text-anchor=\"end\"")
	ly += 25
}

BEGIN {
	left = 58; top = 92; width = 520; height = 318; right = left + width + 28
	restart = 2
}

{
	hour[NR] = hours = $1
	for (k = 1; k <= 7; k++) {
		gap[k, NR] = ($(4 * k - 2) - $(4 * k - 1)) / $(4 * k - 1) * 100
		if (gap[k, NR] > worst[k]) worst[k] = gap[k, NR]
		if (gap[k, NR] > most) most = gap[k, NR]
		if ($1 > restart && $(4 * k + 1) > peak[k]) peak[k] = $(4 * k + 1)
		per[k] += $(4 * k - 2) / $(4 * k)
	}
}

END {
	ymax = (int(most / 10) + 1) * 10
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 484\" role=\"img\" aria-labelledby=\"t\">"
	print "<title id=\"t\">Memory held but not used, over two days after a restart: a general-purpose allocator and memseries</title>"
	print "<style>"
	print "text { font: 14px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }"
	print ".h { font-size: 20px; font-weight: 600 } .s { fill: #59636e } .n { fill: #59636e; font-size: 12.5px }"
	print ".b { font-weight: 600 } .hero { font-weight: 600; fill: #0a7d43 } .bad { font-weight: 600; fill: #c62828 }"
	print ".ground { fill: #ffffff; stroke: #d1d9e0 } .grid { stroke: #e6eaee } .axis { stroke: #9aa4ae } .mark { stroke: #59636e; stroke-dasharray: 3 4 }"
	print ".c { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round }"
	print ".area { fill: #c62828; opacity: 0.08 }"
	print ".m1 { stroke: #7fd3a4; stroke-width: 6 } .m2 { stroke: #0a7d43; stroke-width: 2.6 } .m3 { stroke: #7a838c; stroke-dasharray: 5 4 }"
	print ".m4 { stroke: #c62828; stroke-width: 2.8 } .m5 { stroke: #e08a00 } .m6 { stroke: #7b52c7 } .m7 { stroke: #2b7bba }"
	print "@media (prefers-color-scheme: dark) {"
	print "text { fill: #f0f3f6 } .s, .n { fill: #a9b4bf } .hero { fill: #4cd98f } .bad { fill: #ff7b72 }"
	print ".ground { fill: #0d1117; stroke: #3d444d } .grid { stroke: #262c34 } .axis { stroke: #6b7682 } .mark { stroke: #a9b4bf }"
	print ".area { fill: #ff7b72; opacity: 0.12 } .m1 { stroke: #1d6b43 } .m2 { stroke: #4cd98f } .m3 { stroke: #9aa4ae }"
	print ".m4 { stroke: #ff7b72 } .m5 { stroke: #f0a93b } .m6 { stroke: #b18cf2 } .m7 { stroke: #64b1ee }"
	print "}"
	print "</style>"
	print "<rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"959\" height=\"483\" rx=\"8\"/>"
	text("h", 26, 38, "After a restart, memory creeps. Unless what expires together lies together.")
	text("s", 26, 63, "Memory held but not handed out, in percent of what is handed out. Windows of 4 hours, 8 of them kept.")

	for (g = 0; g <= ymax; g += 10) {
		line(g == 0 ? "axis" : "grid", left, y(g), left + width, y(g))
		text("s", left - 9, y(g) + 5, g "%", "text-anchor=\"end\"")
	}
	for (h = 0; h <= hours; h += 4) {
		line("axis", x(h), y(0), x(h), y(0) + (h % 8 == 0 ? 6 : 3))
		if (h % 8 == 0)
			text("s", x(h), y(0) + 23, h " h", "text-anchor=\"middle\"")
	}
	line("mark", x(restart), top - 4, x(restart), y(0))
	text("b", x(restart) + 7, top + 22, "restart")

	printf "<polygon class=\"area\" points=\"%.1f,%.1f ", x(0), y(0)
	for (i = 1; i <= NR; i++)
		printf "%.1f,%.1f ", x(hour[i]), y(gap[4, i])
	printf "%.1f,%.1f\"/>\n", x(hours), y(0)
	split("3 7 6 5 4 1 2", order, " ")
	for (i = 1; i <= 7; i++)
		curve(order[i])

	ly = top + 8
	text("n", 866, ly, "worst hour", "text-anchor=\"end\"")
	text("n", 936, ly, "peak", "text-anchor=\"end\"")
	ly += 26
	text("b", right, ly, "General-purpose allocator")
	ly += 27
	row(4, "exact size, any order", 3, 0, "bad")
	row(5, "exact size, by time", 3, 0, "")
	row(6, "grown, any order", 3, 0, "")
	row(7, "grown, by time", 3, 0, "")
	row(3, "without a restart", 3, 0, "")
	text("n", right, ly, sprintf("%.2f bytes held for a byte of data", per[3] / NR))
	ly += 42
	text("b", right, ly, "memseries")
	ly += 27
	row(2, "after the restart", 1, 0, "hero")
	row(1, "without a restart", 1, 0, "")
	text("n", right, ly, sprintf("%.2f bytes held for a byte of data", per[1] / NR))
	text("n", 26, 464, "All get the same chunks. Restored ones get buffers of exact size, or ones that grow again from 128 bytes. Drawn by bench/fragmentation.")
	print "</svg>"
}
