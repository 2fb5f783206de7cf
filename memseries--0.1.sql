-- memseries: recent time series in memory

\echo Use "CREATE EXTENSION memseries" to load this file. \quit

-- Everything here lives in schema memseries.  Anybody may name what is in it; what a role may then see or do
-- is decided at the object: rows of tables by ownership or pg_monitor, figures of the whole server by
-- pg_monitor, administration by ownership of the table.
GRANT USAGE ON SCHEMA memseries TO PUBLIC;


-- The access method

CREATE FUNCTION memseries.table_handler(internal) RETURNS table_am_handler
	AS 'MODULE_PATHNAME', 'ms_table_handler'
	LANGUAGE C STRICT;
COMMENT ON FUNCTION memseries.table_handler(internal)
	IS 'table access method handler of memseries';

CREATE ACCESS METHOD memseries TYPE TABLE HANDLER memseries.table_handler;
COMMENT ON ACCESS METHOD memseries
	IS 'recent time series, compressed in memory: one timestamptz, labels, float values';


-- Settings of a table

CREATE FUNCTION memseries.configure(
	relation regclass,
	chunk_interval interval DEFAULT NULL,
	retain integer DEFAULT -1,
	on_out_of_range text DEFAULT NULL,
	on_full text DEFAULT NULL,
	max_series integer DEFAULT NULL,
	OUT chunk_interval interval,
	OUT retain integer,
	OUT on_out_of_range text,
	OUT on_full text,
	OUT max_series integer)
	AS 'MODULE_PATHNAME', 'ms_configure'
	LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION memseries.configure(regclass, interval, integer, text, text, integer)
	IS 'change settings of a memseries table and return all of them; what is not given stays as it is, retain => NULL keeps all windows';


-- Administration

CREATE FUNCTION memseries.snapshot() RETURNS void
	AS 'MODULE_PATHNAME', 'ms_snapshot'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION memseries.snapshot()
	IS 'write a snapshot of all memseries tables now and wait until it is durable';
REVOKE EXECUTE ON FUNCTION memseries.snapshot() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION memseries.snapshot() TO pg_checkpoint;

CREATE FUNCTION memseries.expire(
	relation regclass,
	as_of timestamptz DEFAULT now())
	RETURNS integer
	AS 'MODULE_PATHNAME', 'ms_expire'
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION memseries.expire(regclass, timestamptz)
	IS 'drop the windows that retention no longer keeps at the given time, at once and for good; returns how many';

CREATE FUNCTION memseries.delete_samples(
	relation regclass,
	from_time timestamptz,
	to_time timestamptz,
	condition text DEFAULT NULL)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'ms_delete_samples'
	LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION memseries.delete_samples(regclass, timestamptz, timestamptz, text)
	IS 'delete the samples from from_time up to but not including to_time (NULL: no bound) of all series, or of those whose labels fulfil an SQL condition; returns the number of series affected';

CREATE FUNCTION memseries.dump_table(relation regclass, filename text) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ms_dump_table'
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION memseries.dump_table(regclass, text)
	IS 'write all samples of a memseries table to a file of the server; returns the size of the file';

CREATE FUNCTION memseries.load_table(relation regclass, filename text) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ms_load_table'
	LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION memseries.load_table(regclass, text)
	IS 'add the samples in a file that memseries.dump_table wrote to a memseries table; returns their number';

CREATE FUNCTION memseries.check(
	relation regclass DEFAULT NULL,
	OUT relation regclass,
	OUT problem text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ms_check'
	LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION memseries.check(regclass)
	IS 'verify the memory of one memseries table, or of everything; returns the problems found';
REVOKE EXECUTE ON FUNCTION memseries.check(regclass) FROM PUBLIC;


-- Aggregates
--
-- Rows without a time are ignored; a NULL value counts as a value, so add FILTER (WHERE value IS NOT NULL)
-- to pass over those.  Among rows of equal time any may win.

CREATE FUNCTION memseries.first_step(internal, anyelement, timestamptz) RETURNS internal
	AS 'MODULE_PATHNAME', 'ms_first_step'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.first_step(internal, anyelement, timestamptz)
	IS 'transition function of memseries.first';

CREATE FUNCTION memseries.last_step(internal, anyelement, timestamptz) RETURNS internal
	AS 'MODULE_PATHNAME', 'ms_last_step'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.last_step(internal, anyelement, timestamptz)
	IS 'transition function of memseries.last';

CREATE FUNCTION memseries.first_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ms_first_combine'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.first_combine(internal, internal)
	IS 'combine function of memseries.first';

CREATE FUNCTION memseries.last_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ms_last_combine'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.last_combine(internal, internal)
	IS 'combine function of memseries.last';

CREATE FUNCTION memseries.edge_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'ms_edge_serialize'
	LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.edge_serialize(internal)
	IS 'serialization function of memseries.first and memseries.last';

CREATE FUNCTION memseries.edge_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ms_edge_deserialize'
	LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.edge_deserialize(bytea, internal)
	IS 'deserialization function of memseries.first and memseries.last';

CREATE FUNCTION memseries.edge_final(internal, anyelement, timestamptz) RETURNS anyelement
	AS 'MODULE_PATHNAME', 'ms_edge_final'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.edge_final(internal, anyelement, timestamptz)
	IS 'final function of memseries.first and memseries.last';

CREATE AGGREGATE memseries.first(value anyelement, ts timestamptz) (
	SFUNC = memseries.first_step,
	STYPE = internal,
	FINALFUNC = memseries.edge_final,
	FINALFUNC_EXTRA,
	COMBINEFUNC = memseries.first_combine,
	SERIALFUNC = memseries.edge_serialize,
	DESERIALFUNC = memseries.edge_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE memseries.first(anyelement, timestamptz)
	IS 'the value of the row with the earliest time; rows without a time are ignored';

CREATE AGGREGATE memseries.last(value anyelement, ts timestamptz) (
	SFUNC = memseries.last_step,
	STYPE = internal,
	FINALFUNC = memseries.edge_final,
	FINALFUNC_EXTRA,
	COMBINEFUNC = memseries.last_combine,
	SERIALFUNC = memseries.edge_serialize,
	DESERIALFUNC = memseries.edge_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE memseries.last(anyelement, timestamptz)
	IS 'the value of the row with the latest time; rows without a time are ignored';


-- Aggregates of counters
--
-- Rows without a value or a time are ignored; fewer than two give NULL.  A value below the one before it is
-- taken for a restart of the counter from zero, as in Prometheus; unlike there, nothing is extrapolated beyond
-- the first and last row.

CREATE FUNCTION memseries.counter_step(internal, double precision, timestamptz) RETURNS internal
	AS 'MODULE_PATHNAME', 'ms_counter_step'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.counter_step(internal, double precision, timestamptz)
	IS 'transition function of memseries.increase, rate and delta';

CREATE FUNCTION memseries.counter_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ms_counter_combine'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.counter_combine(internal, internal)
	IS 'combine function of memseries.increase, rate and delta';

CREATE FUNCTION memseries.counter_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'ms_counter_serialize'
	LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.counter_serialize(internal)
	IS 'serialization function of memseries.increase, rate and delta';

CREATE FUNCTION memseries.counter_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'ms_counter_deserialize'
	LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.counter_deserialize(bytea, internal)
	IS 'deserialization function of memseries.increase, rate and delta';

CREATE FUNCTION memseries.increase_final(internal) RETURNS double precision
	AS 'MODULE_PATHNAME', 'ms_increase_final'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.increase_final(internal) IS 'final function of memseries.increase';

CREATE AGGREGATE memseries.increase(value double precision, ts timestamptz) (
	SFUNC = memseries.counter_step,
	STYPE = internal,
	FINALFUNC = memseries.increase_final,
	COMBINEFUNC = memseries.counter_combine,
	SERIALFUNC = memseries.counter_serialize,
	DESERIALFUNC = memseries.counter_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE memseries.increase(double precision, timestamptz)
	IS 'how much a counter rose from the first to the last row, across restarts from zero';

CREATE FUNCTION memseries.rate_final(internal) RETURNS double precision
	AS 'MODULE_PATHNAME', 'ms_rate_final'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.rate_final(internal) IS 'final function of memseries.rate';

CREATE AGGREGATE memseries.rate(value double precision, ts timestamptz) (
	SFUNC = memseries.counter_step,
	STYPE = internal,
	FINALFUNC = memseries.rate_final,
	COMBINEFUNC = memseries.counter_combine,
	SERIALFUNC = memseries.counter_serialize,
	DESERIALFUNC = memseries.counter_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE memseries.rate(double precision, timestamptz)
	IS 'how much a counter rose per second between the first and the last row, across restarts from zero';

CREATE FUNCTION memseries.delta_final(internal) RETURNS double precision
	AS 'MODULE_PATHNAME', 'ms_delta_final'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.delta_final(internal) IS 'final function of memseries.delta';

CREATE AGGREGATE memseries.delta(value double precision, ts timestamptz) (
	SFUNC = memseries.counter_step,
	STYPE = internal,
	FINALFUNC = memseries.delta_final,
	COMBINEFUNC = memseries.counter_combine,
	SERIALFUNC = memseries.counter_serialize,
	DESERIALFUNC = memseries.counter_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE memseries.delta(double precision, timestamptz)
	IS 'the value of the last row less that of the first';


-- What there is to see
--
-- A role sees the tables it owns, a member of pg_monitor sees all of this database.

CREATE FUNCTION memseries.get_tables(
	OUT relation regclass,
	OUT chunk_interval interval,
	OUT retain integer,
	OUT on_out_of_range text,
	OUT on_full text,
	OUT max_series integer,
	OUT series bigint,
	OUT windows integer,
	OUT sealed_windows integer,
	OUT first_window timestamptz,
	OUT last_window timestamptz,
	OUT samples bigint,
	OUT runs bigint,
	OUT run_samples bigint,
	OUT run_bytes bigint,
	OUT times_bytes bigint,
	OUT values_bytes bigint,
	OUT labels_bytes bigint,
	OUT index_bytes bigint,
	OUT headers_bytes bigint,
	OUT slack_bytes bigint,
	OUT in_use_bytes bigint,
	OUT allocated_bytes bigint,
	OUT gap_bytes bigint,
	OUT skipped_samples bigint,
	OUT expired_windows bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ms_get_tables'
	LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION memseries.get_tables() IS 'what view memseries.tables shows';

CREATE VIEW memseries.tables AS SELECT * FROM memseries.get_tables();
COMMENT ON VIEW memseries.tables
	IS 'memseries tables of this database: settings, contents, memory; of those one owns, or all for pg_monitor';
COMMENT ON COLUMN memseries.tables.relation IS 'the table';
COMMENT ON COLUMN memseries.tables.chunk_interval IS 'length of new windows';
COMMENT ON COLUMN memseries.tables.retain IS 'how many windows are kept; NULL: all';
COMMENT ON COLUMN memseries.tables.on_out_of_range
	IS 'what happens to samples too old or too far ahead: error, or skip';
COMMENT ON COLUMN memseries.tables.on_full
	IS 'what happens when memory is full: error, or expire (the oldest window goes)';
COMMENT ON COLUMN memseries.tables.max_series IS 'most series the table may have';
COMMENT ON COLUMN memseries.tables.series IS 'series, that is, distinct combinations of labels';
COMMENT ON COLUMN memseries.tables.windows IS 'windows that hold samples';
COMMENT ON COLUMN memseries.tables.sealed_windows IS 'windows that are over and packed';
COMMENT ON COLUMN memseries.tables.first_window IS 'start of the oldest window';
COMMENT ON COLUMN memseries.tables.last_window IS 'start of the newest window';
COMMENT ON COLUMN memseries.tables.samples
	IS 'samples in chunks and runs; one that was written again, rolled back or deleted counts until it is folded';
COMMENT ON COLUMN memseries.tables.runs IS 'batches of samples not yet folded into chunks';
COMMENT ON COLUMN memseries.tables.run_samples IS 'samples in runs';
COMMENT ON COLUMN memseries.tables.run_bytes IS 'memory of the runs';
COMMENT ON COLUMN memseries.tables.times_bytes IS 'times in chunks; regular ones take no bytes of their own';
COMMENT ON COLUMN memseries.tables.values_bytes IS 'values in chunks';
COMMENT ON COLUMN memseries.tables.labels_bytes IS 'distinct label values, and which of them a series has';
COMMENT ON COLUMN memseries.tables.index_bytes IS 'what leads from labels to series and from series to chunks';
COMMENT ON COLUMN memseries.tables.headers_bytes IS 'headers of chunks and their blocks, windows, columns';
COMMENT ON COLUMN memseries.tables.slack_bytes
	IS 'rounding and fragmentation: what in_use_bytes has beyond run_bytes and the purposes before';
COMMENT ON COLUMN memseries.tables.in_use_bytes IS 'memory taken from the segment';
COMMENT ON COLUMN memseries.tables.allocated_bytes IS 'memory of that handed out to chunks, labels and the like';
COMMENT ON COLUMN memseries.tables.gap_bytes IS 'the difference: fragmentation';
COMMENT ON COLUMN memseries.tables.skipped_samples
	IS 'samples left out because out of range, since the server started or the table was emptied';
COMMENT ON COLUMN memseries.tables.expired_windows
	IS 'windows that went by retention or for room, since the server started or the table was emptied';

CREATE FUNCTION memseries.get_windows(
	OUT relation regclass,
	OUT window_start timestamptz,
	OUT window_end timestamptz,
	OUT state text,
	OUT chunks bigint,
	OUT samples bigint,
	OUT chunk_bytes bigint,
	OUT runs bigint,
	OUT run_samples bigint,
	OUT run_bytes bigint,
	OUT times_bytes bigint,
	OUT values_bytes bigint,
	OUT index_bytes bigint,
	OUT headers_bytes bigint,
	OUT slack_bytes bigint,
	OUT in_use_bytes bigint,
	OUT allocated_bytes bigint,
	OUT gap_bytes bigint,
	OUT saved boolean)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ms_get_windows'
	LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION memseries.get_windows() IS 'what view memseries.windows shows';

CREATE VIEW memseries.windows AS SELECT * FROM memseries.get_windows();
COMMENT ON VIEW memseries.windows
	IS 'windows of memseries tables of this database; of those one owns, or all for pg_monitor';
COMMENT ON COLUMN memseries.windows.relation IS 'the table';
COMMENT ON COLUMN memseries.windows.window_start IS 'first time in the window';
COMMENT ON COLUMN memseries.windows.window_end IS 'first time after the window';
COMMENT ON COLUMN memseries.windows.state IS 'open: chunks may grow; sealed: over, and packed';
COMMENT ON COLUMN memseries.windows.chunks IS 'series with a chunk in the window';
COMMENT ON COLUMN memseries.windows.samples IS 'samples in chunks and runs';
COMMENT ON COLUMN memseries.windows.chunk_bytes IS 'size of the chunks';
COMMENT ON COLUMN memseries.windows.runs IS 'batches of samples not yet folded into chunks';
COMMENT ON COLUMN memseries.windows.run_samples IS 'samples in runs';
COMMENT ON COLUMN memseries.windows.run_bytes IS 'memory of the runs';
COMMENT ON COLUMN memseries.windows.times_bytes IS 'times in chunks; regular ones take no bytes of their own';
COMMENT ON COLUMN memseries.windows.values_bytes IS 'values in chunks';
COMMENT ON COLUMN memseries.windows.index_bytes IS 'what leads from series to chunks';
COMMENT ON COLUMN memseries.windows.headers_bytes IS 'headers of chunks and their blocks';
COMMENT ON COLUMN memseries.windows.slack_bytes
	IS 'rounding and fragmentation: what in_use_bytes has beyond run_bytes and the purposes before';
COMMENT ON COLUMN memseries.windows.in_use_bytes IS 'memory taken from the segment';
COMMENT ON COLUMN memseries.windows.allocated_bytes IS 'memory of that handed out';
COMMENT ON COLUMN memseries.windows.gap_bytes IS 'the difference: fragmentation';
COMMENT ON COLUMN memseries.windows.saved IS 'whether the last snapshot holds all of it';

CREATE FUNCTION memseries.get_series(
	relation regclass DEFAULT NULL,
	OUT relation regclass,
	OUT series_id bigint,
	OUT labels jsonb,
	OUT chunks integer,
	OUT samples bigint,
	OUT first_window timestamptz,
	OUT last_window timestamptz,
	OUT chunk_bytes bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ms_get_series'
	LANGUAGE C CALLED ON NULL INPUT VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION memseries.get_series(regclass)
	IS 'what view memseries.series shows, of one table; NULL: of all';

CREATE VIEW memseries.series AS SELECT * FROM memseries.get_series();
COMMENT ON VIEW memseries.series
	IS 'series of memseries tables of this database; of those one owns, or all for pg_monitor';
COMMENT ON COLUMN memseries.series.relation IS 'the table';
COMMENT ON COLUMN memseries.series.series_id IS 'number of the series within its table; given again once the series is gone';
COMMENT ON COLUMN memseries.series.labels IS 'label columns and their values, as to_jsonb gives them';
COMMENT ON COLUMN memseries.series.chunks IS 'windows in which the series has a chunk';
COMMENT ON COLUMN memseries.series.samples IS 'samples in chunks and runs';
COMMENT ON COLUMN memseries.series.first_window IS 'start of the oldest window with samples of the series';
COMMENT ON COLUMN memseries.series.last_window IS 'start of the newest window with samples of the series';
COMMENT ON COLUMN memseries.series.chunk_bytes IS 'size of its chunks';


-- The server as a whole: for pg_monitor

CREATE FUNCTION memseries.get_size_classes(
	OUT kind text,
	OUT class_bytes integer,
	OUT spans bigint,
	OUT objects bigint,
	OUT in_use_bytes bigint,
	OUT allocated_bytes bigint,
	OUT slack_bytes bigint,
	OUT free_bytes bigint,
	OUT tail_bytes bigint,
	OUT dead_bytes bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ms_get_size_classes'
	LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 43;
COMMENT ON FUNCTION memseries.get_size_classes() IS 'what view memseries.size_classes shows';
REVOKE EXECUTE ON FUNCTION memseries.get_size_classes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION memseries.get_size_classes() TO pg_monitor;

CREATE VIEW memseries.size_classes AS SELECT * FROM memseries.get_size_classes();
COMMENT ON VIEW memseries.size_classes
	IS 'memory by object size, over all databases: in use = allocated + slack + free + tail + dead';
COMMENT ON COLUMN memseries.size_classes.kind
	IS 'class: objects of one size; mixed: pages of small objects of any size; packed: sealed chunks, back to back; large: objects above all classes';
COMMENT ON COLUMN memseries.size_classes.class_bytes IS 'size of the objects; NULL where it varies';
COMMENT ON COLUMN memseries.size_classes.spans IS 'runs of pages taken';
COMMENT ON COLUMN memseries.size_classes.objects IS 'objects handed out';
COMMENT ON COLUMN memseries.size_classes.in_use_bytes IS 'memory of the spans';
COMMENT ON COLUMN memseries.size_classes.allocated_bytes IS 'memory asked for by the objects';
COMMENT ON COLUMN memseries.size_classes.slack_bytes IS 'what rounding up to the class or to whole pages adds';
COMMENT ON COLUMN memseries.size_classes.free_bytes IS 'room for more objects in the spans';
COMMENT ON COLUMN memseries.size_classes.tail_bytes IS 'rests at the ends of spans';
COMMENT ON COLUMN memseries.size_classes.dead_bytes IS 'freed objects in spans that still hold others';
REVOKE ALL ON memseries.size_classes FROM PUBLIC;
GRANT SELECT ON memseries.size_classes TO pg_monitor;

CREATE FUNCTION memseries.get_memory(
	OUT in_use_bytes bigint,
	OUT allocated_bytes bigint,
	OUT gap_bytes bigint,
	OUT free_bytes bigint,
	OUT limit_bytes bigint,
	OUT backed_bytes bigint,
	OUT overhead_bytes bigint,
	OUT runs bigint,
	OUT run_bytes bigint)
	RETURNS record
	AS 'MODULE_PATHNAME', 'ms_get_memory'
	LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION memseries.get_memory() IS 'what view memseries.memory shows';
REVOKE EXECUTE ON FUNCTION memseries.get_memory() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION memseries.get_memory() TO pg_monitor;

CREATE VIEW memseries.memory AS SELECT * FROM memseries.get_memory();
COMMENT ON VIEW memseries.memory IS 'the memory segment, all databases together; one row';
COMMENT ON COLUMN memseries.memory.in_use_bytes IS 'memory taken: the segment''s own bookkeeping and all spans';
COMMENT ON COLUMN memseries.memory.allocated_bytes IS 'memory of that handed out to chunks, labels and the like';
COMMENT ON COLUMN memseries.memory.gap_bytes IS 'the difference: fragmentation';
COMMENT ON COLUMN memseries.memory.free_bytes IS 'memory not taken';
COMMENT ON COLUMN memseries.memory.limit_bytes IS 'size of the segment, as set by memseries.memory';
COMMENT ON COLUMN memseries.memory.backed_bytes
	IS 'what the operating system has given at most: ranges of 2 MB once used and not released since';
COMMENT ON COLUMN memseries.memory.overhead_bytes
	IS 'the part of in_use_bytes that is the segment''s own bookkeeping; the rest is in size_classes, and in tables by purpose';
COMMENT ON COLUMN memseries.memory.runs IS 'batches of samples not yet folded into chunks, of all tables';
COMMENT ON COLUMN memseries.memory.run_bytes IS 'memory of those runs';
REVOKE ALL ON memseries.memory FROM PUBLIC;
GRANT SELECT ON memseries.memory TO pg_monitor;

CREATE FUNCTION memseries.get_workers(
	OUT worker text,
	OUT pid integer,
	OUT state text,
	OUT since timestamptz,
	OUT seen timestamptz,
	OUT last_run timestamptz,
	OUT rounds bigint,
	OUT last_error text,
	OUT last_error_at timestamptz,
	OUT done bigint,
	OUT total bigint,
	OUT percent numeric)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ms_get_workers'
	LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION memseries.get_workers() IS 'what view memseries.workers shows';
REVOKE EXECUTE ON FUNCTION memseries.get_workers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION memseries.get_workers() TO pg_monitor;

CREATE VIEW memseries.workers AS SELECT * FROM memseries.get_workers();
COMMENT ON VIEW memseries.workers
	IS 'the background workers: the guard (snapshots, restore) and the keeper (fold, seal, expire); never waits';
COMMENT ON COLUMN memseries.workers.worker IS 'guard or keeper';
COMMENT ON COLUMN memseries.workers.pid IS 'its process; NULL if it does not run';
COMMENT ON COLUMN memseries.workers.state IS 'what it is doing';
COMMENT ON COLUMN memseries.workers.since IS 'since when';
COMMENT ON COLUMN memseries.workers.seen IS 'its last sign of life: each second from the guard, each round from the keeper';
COMMENT ON COLUMN memseries.workers.last_run IS 'when it last finished a round';
COMMENT ON COLUMN memseries.workers.rounds IS 'rounds finished since the server started';
COMMENT ON COLUMN memseries.workers.last_error IS 'the last thing that went wrong';
COMMENT ON COLUMN memseries.workers.last_error_at IS 'and when';
COMMENT ON COLUMN memseries.workers.done IS 'how much of a snapshot or restore is done; NULL if none is under way';
COMMENT ON COLUMN memseries.workers.total IS 'and of how much';
COMMENT ON COLUMN memseries.workers.percent IS 'done in per cent of total';
REVOKE ALL ON memseries.workers FROM PUBLIC;
GRANT SELECT ON memseries.workers TO pg_monitor;

GRANT SELECT ON memseries.tables, memseries.windows, memseries.series TO PUBLIC;


-- Sizing: for anybody, as it looks at nothing

CREATE FUNCTION memseries.estimate(
	series bigint,
	"interval" interval,
	"values" integer DEFAULT 1,
	windows integer DEFAULT 8,
	chunk_interval interval DEFAULT '4 hours',
	bytes_per_value float8 DEFAULT NULL,
	bytes_per_series float8 DEFAULT 66)
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'ms_estimate'
	LANGUAGE C CALLED ON NULL INPUT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION memseries.estimate(bigint, interval, integer, integer, interval, float8, float8)
	IS 'memory in bytes for so many series with a row each interval, of so many value columns, in so many full windows; bytes_per_value NULL: as metrics of machines take';
