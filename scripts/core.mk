# Build the core without a server: its unit tests and fuzz targets, once per sanitizer.
#
#   make -f scripts/core.mk MODE=asan|tsan|valgrind|libfuzzer PG_CONFIG=... [unit|fuzz|list-unit|list-fuzz]
#
# The core compiles against the server's headers, with assertions on, and links with the shim in test/unit.
# A file of test/unit with a main() is a program of its own; what has none (the shim) is linked into each.
# A file of test/fuzz with LLVMFuzzerTestOneInput is a target: linked with test/fuzz/standalone.c, which feeds
# it files, or with libFuzzer under MODE=libfuzzer.  Results go to build/core-MODE.

MODE ?= asan
OUT ?= build/core-$(MODE)

san_asan = -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
san_tsan = -O1 -fsanitize=thread
san_valgrind = -O1 -DUSE_VALGRIND
san_libfuzzer = -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifeq (,$(san_$(MODE)))
$(error MODE must be asan, tsan, valgrind or libfuzzer)
endif

CC = $(if $(filter libfuzzer,$(MODE)),clang,gcc)
# Signed overflow and aliasing are defined as the server's own build defines them.
CFLAGS = -g -std=gnu99 -Wall -fno-strict-aliasing -fwrapv -fno-omit-frame-pointer $(san_$(MODE))
CPPFLAGS = -MMD -MP -D_GNU_SOURCE -DUSE_ASSERT_CHECKING=1 -DMS_SANITIZED_$(MODE) -Isrc -Itest/unit \
	-isystem $(shell $(PG_CONFIG) --includedir-server)
LDLIBS = -L$(shell $(PG_CONFIG) --pkglibdir) -L$(shell $(PG_CONFIG) --libdir) -lpgcommon -lpgport -lpthread -lm

core := $(sort $(wildcard src/core/*.c))
unit_all := $(sort $(wildcard test/unit/*.c))
fuzz_all := $(sort $(wildcard test/fuzz/*.c))
# The pattern in a variable: its parenthesis would end the call.
main_pattern := '^([a-z]+ )?main *[(]'
unit_mains := $(if $(unit_all),$(shell grep -lE $(main_pattern) $(unit_all)))
fuzz_targets := $(if $(fuzz_all),$(shell grep -lE '^LLVMFuzzerTestOneInput' $(fuzz_all)))
fuzz_main := $(if $(filter libfuzzer,$(MODE)),,test/fuzz/standalone.c)
fuzz_shared := $(filter-out $(fuzz_targets) test/fuzz/standalone.c,$(fuzz_all))

object = $(patsubst %.c,$(OUT)/%.o,$(1))
lib := $(OUT)/libcore.a
unit_programs := $(patsubst %.c,$(OUT)/%,$(unit_mains))
fuzz_programs := $(patsubst %.c,$(OUT)/%,$(fuzz_targets))

unit: $(unit_programs)
fuzz: $(fuzz_programs)
list-unit:
	@for p in $(unit_programs); do echo $$p; done
list-fuzz:
	@for p in $(fuzz_programs); do echo $$p; done

$(OUT)/%.o: %.c scripts/core.mk
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(lib): $(call object,$(core) $(filter-out $(unit_mains),$(unit_all)))
	@rm -f $@
	ar rcs $@ $^

$(unit_programs): %: %.o $(lib)
	$(CC) $(CFLAGS) -o $@ $< $(lib) $(LDLIBS)

$(fuzz_programs): %: %.o $(call object,$(fuzz_main) $(fuzz_shared)) $(lib)
	$(CC) $(CFLAGS) $(if $(filter libfuzzer,$(MODE)),-fsanitize=fuzzer) -o $@ $(filter-out $(lib),$^) $(lib) $(LDLIBS)

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

.PHONY: unit fuzz list-unit list-fuzz
.SECONDARY:
