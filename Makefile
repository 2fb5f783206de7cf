# memseries: build, install, test.
#
#   make, make install      as for any PGXS extension; PG_CONFIG=... picks the server; may run in a folder
#                           outside the source (make -f .../Makefile)
#   make demo               see it work
#   make torture            kill servers at random moments, for some ten minutes
#   make pressure           the long form of the tests of full memory: a million tiny transactions, many histories
#   make check              every test;  check-unit, check-sql, ... one suite (scripts/check tells more)
#
# Targets of the second kind install what they need and must run on a machine without a server, where
# including PGXS would fail; so they stand in their own half of this file.

SCRIPTED = demo check check-unit check-fuzz check-sql check-pgtap check-isolation check-tap \
	check-tsan check-valgrind check-matrix lint fuzz bench torture pressure indent indent-check

ifneq (,$(filter $(SCRIPTED),$(MAKECMDGOALS)))

top := $(patsubst %/,%,$(dir $(abspath $(firstword $(MAKEFILE_LIST)))))
export PG_CONFIG FUZZ_SECONDS

.PHONY: $(SCRIPTED)

demo:
	@$(top)/scripts/install-deps build
	@$(top)/demo/run

check:
	@$(top)/scripts/install-deps test
	@$(top)/scripts/check layers unit fuzz sql pgtap isolation tap

check-unit check-fuzz check-tsan check-valgrind: check-%:
	@$(top)/scripts/check $*

check-sql check-pgtap check-isolation check-tap: check-%:
	@$(top)/scripts/install-deps test
	@$(top)/scripts/check $*

check-matrix:
	@$(top)/scripts/matrix

lint:
	@$(top)/scripts/lint

fuzz:
	@$(top)/scripts/fuzz

# The long form of one of the tests: hundreds of kills, some ten minutes.
torture:
	@$(top)/scripts/install-deps test
	@TESTS=025_torture MEMSERIES_KILLS=$${MEMSERIES_KILLS:-300} $(top)/scripts/check tap

# Likewise, some five minutes.
pressure:
	@$(top)/scripts/install-deps test
	@TESTS="072_pressure 073_expiry" MEMSERIES_TINY=$${MEMSERIES_TINY:-1000000} \
		MEMSERIES_HISTORIES=$${MEMSERIES_HISTORIES:-50} $(top)/scripts/check tap

bench:
	@$(top)/scripts/install-deps build
	@$(top)/bench/run

indent indent-check:
	@$(top)/scripts/$@

# Other goals given beside these go their usual way.
$(filter-out $(SCRIPTED),$(MAKECMDGOALS)):
	@$(MAKE) -f $(firstword $(MAKEFILE_LIST)) $@

else

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq (,$(wildcard $(PGXS)))
$(error $(PG_CONFIG) knows no PGXS: install the server's development package, or set PG_CONFIG)
endif

# PGXS finds the source folder the same way, but only once it is included.
here := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))

EXTENSION = memseries
MODULE_big = memseries
PGFILEDESC = "memseries - recent time series in memory"
DATA = $(patsubst $(here)/%,%,$(sort $(wildcard $(here)/memseries--*.sql)))

SOURCE_DIRS = src src/core src/store src/am src/exec src/worker
OBJS = $(patsubst $(here)/%.c,%.o,$(sort $(foreach d,$(SOURCE_DIRS),$(wildcard $(here)/$(d)/*.c))))

PG_CPPFLAGS = -I$(here)/src
# Servers are often built without dependency tracking, which would leave objects stale.
PG_CFLAGS = -MMD -MP $(if $(filter linux,$(PORTNAME)),-fno-semantic-interposition)
SHLIB_LINK += -lm
# Calls between our files need no detour by way of symbols that others might define, which took 7 % of a scan's time.  From 16 on
# the server's own flags see to it.
SHLIB_LINK += $(if $(filter linux,$(PORTNAME)),$(symbolic))
symbolic = -Wl,-Bsymbolic-functions

REGRESS = $(patsubst $(here)/sql/%.sql,%,$(sort $(wildcard $(here)/sql/*.sql)))
REGRESS_OPTS = --inputdir=$(here) --load-extension=memseries
ISOLATION = $(patsubst $(here)/test/specs/%.spec,%,$(sort $(wildcard $(here)/test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(here)/test --load-extension=memseries

EXTRA_CLEAN = $(OBJS:.o=.d) $(if $(filter .,$(here)),build)

include $(PGXS)

-include $(OBJS:.o=.d)

# A build outside the source needs its folders, and must not take objects that lie in the source for its own,
# as PGXS's VPATH would.
ifneq ($(here),.)
VPATH =
vpath %.c $(here)
vpath %.control $(here)
$(shell mkdir -p $(sort $(dir $(OBJS))))
endif

# The packaged version must be the control file's.
dist_version = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(here)/memseries.control)
dist:
	git -C $(here) archive --format=zip --prefix=memseries-$(dist_version).0/ \
		-o $(CURDIR)/memseries-$(dist_version).0.zip HEAD

.PHONY: dist

endif
