# SPDX-License-Identifier: GPL-3.0-or-later
# The allocator: build/libmemwhy-malloc.so and .a, its tests and benchmarks.

ALLOC_SRC := $(filter-out %/mkclasses.c,$(wildcard lib/alloc/*.c))
ALLOC_OBJ := $(ALLOC_SRC:lib/alloc/%.c=$(B)/alloc/%.o)
# initial-exec TLS: the library is preloaded or linked, and has four words of TLS
ALLOC_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Wvla -fPIC -fvisibility=hidden \
	-ftls-model=initial-exec -fno-builtin-malloc -fno-builtin-calloc \
	-fno-builtin-realloc -fno-builtin-free -fno-plt -fno-stack-protector \
	-fexceptions '-ffile-prefix-map=$(CURDIR)=.' -Ilib/alloc -I$(B)/alloc $(ALLOC_EXTRA_CFLAGS)
ALLOC_LDFLAGS := -shared -Wl,-Bsymbolic -Wl,-z,relro,-z,now -Wl,-z,nodelete \
	-Wl,--version-script=lib/alloc/alloc.map -Wl,-soname,libmemwhy-malloc.so

$(B)/libmemwhy-malloc.so: $(ALLOC_OBJ) lib/alloc/alloc.map
	$(Q)$(CC) $(ALLOC_LDFLAGS) -o $@ $(ALLOC_OBJ)

OBJCOPY ?= objcopy
# In a program its code is told from the program's by a section (unwind.c).
ARCHIVE_OBJ := $(patsubst $(B)/alloc/%.o,$(B)/alloc/archive/%.o,$(filter-out %/early.o %/deepbind.o %/sandbox.o %/cxx_nothrow.o,$(ALLOC_OBJ)))
$(B)/alloc/archive/%.o: $(B)/alloc/%.o
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --rename-section .text=mw_alloc_text --rename-section .text.unlikely=mw_alloc_text $< $@

$(B)/libmemwhy-malloc.a: $(ARCHIVE_OBJ)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(ARCHIVE_OBJ)

$(B)/alloc/mkclasses: lib/alloc/mkclasses.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 -Wall -Wextra -o $@ $<

$(B)/alloc/sizeclasses.h: $(B)/alloc/mkclasses
	$(Q)$< > $@.tmp && mv $@.tmp $@

$(B)/alloc/classes.o: $(B)/alloc/sizeclasses.h

$(B)/alloc/%.o: lib/alloc/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALLOC_CFLAGS) -MMD -MP -c -o $@ $<

-include $(ALLOC_OBJ:.o=.d)

ALL_EXTRA += $(B)/libmemwhy-malloc.so $(B)/libmemwhy-malloc.a $(B)/alloc/mkclasses

# tests: one executable a topic, linked with the library they test
ALLOC_TEST_BIN := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/alloc/*.c))
ALLOC_TEST_BIN += $(if $(wildcard tests/alloc/api.c),$(B)/tests/alloc/api-static)
ALLOC_TEST_BIN += $(and $(shell command -v g++),$(wildcard tests/alloc/cxx.cc),$(addprefix $(B)/tests/alloc/,cxx cxx-static))
ALLOC_TESTS_HEAVY += $(wildcard tests/alloc/*-long.sh)
ALLOC_TESTS += $(filter-out $(ALLOC_TESTS_HEAVY),$(wildcard tests/alloc/*.sh)) $(ALLOC_TEST_BIN)
ALLOC_TEST_CFLAGS := -O1 -g -Wall -Wextra -Wno-deprecated-declarations \
	-Wno-use-after-free -Wno-free-nonheap-object -Wno-alloc-size-larger-than -fno-builtin
ALLOC_TEST_LINK = -L$(B) -lmemwhy-malloc -pthread -ldl -lm -Wl,-rpath,'$$ORIGIN/../..'
ALLOC_TEST_DEPS := tests/alloc/tap.h lib/alloc/abi.h lib/alloc/memwhy-malloc.h lib/alloc/alloc.mk

$(B)/tests/alloc/%: tests/alloc/%.c $(ALLOC_TEST_DEPS) $(B)/libmemwhy-malloc.so
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(ALLOC_TEST_CFLAGS) -o $@ $< $(ALLOC_TEST_LINK)

$(B)/tests/alloc/bits: lib/alloc/bits.h lib/alloc/internal.h

$(B)/tests/alloc/cxx: tests/alloc/cxx.cc $(ALLOC_TEST_DEPS) $(B)/libmemwhy-malloc.so
	@mkdir -p $(@D)
	$(Q)g++ -std=c++17 $(ALLOC_TEST_CFLAGS) -o $@ $< $(ALLOC_TEST_LINK)

$(B)/tests/alloc/cxx-static: tests/alloc/cxx.cc $(ALLOC_TEST_DEPS) $(B)/libmemwhy-malloc.a
	@mkdir -p $(@D)
	$(Q)g++ -std=c++17 -static $(ALLOC_TEST_CFLAGS) -o $@ $< $(B)/libmemwhy-malloc.a -pthread 2>/dev/null

$(B)/tests/alloc/deepbind: $(B)/tests/alloc/deepbind-plugin.so
$(B)/tests/alloc/deepbind: ALLOC_TEST_LINK += -Wl,-rpath,'$$ORIGIN'
$(B)/tests/alloc/deepbind-plugin.so: tests/alloc/deepbind.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(ALLOC_TEST_CFLAGS) -DPLUGIN -shared -fPIC -o $@ $<

$(B)/tests/alloc/api-static: tests/alloc/api.c $(ALLOC_TEST_DEPS) $(B)/libmemwhy-malloc.a
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -static $(ALLOC_TEST_CFLAGS) -o $@ $< $(B)/libmemwhy-malloc.a \
		-pthread 2>/dev/null

.PHONY: check-alloc
check-alloc: $(ALLOC_TESTS)
	@BUILD=$(B) tests/run $(B)/tests/log $(ALLOC_TESTS)

# figures, never tests: ROUNDS=N, BENCH_ARGS='--only WORD --json FILE'
ROUNDS ?= 3
$(B)/tests/bench/alloc/workloads: tests/bench/alloc/workloads.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -Wall -Wextra -fno-builtin -o $@ $< -pthread

$(B)/tests/bench/alloc/empty.so:
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -fPIC -o $@ -x c /dev/null

.PHONY: bench-alloc
bench-alloc: $(B)/libmemwhy-malloc.so $(B)/tests/bench/alloc/workloads $(B)/tests/bench/alloc/empty.so
	@BUILD=$(B) python3 tests/bench/alloc/run.py --rounds $(ROUNDS) $(BENCH_ARGS)

# what the instruments cost: the same sources without counters and sampler, in turns
$(B)/alloc-bare/libmemwhy-malloc.so: $(ALLOC_SRC) $(wildcard lib/alloc/*.h) $(B)/alloc/sizeclasses.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALLOC_CFLAGS) -DMW_ALLOC_BARE $(ALLOC_LDFLAGS) -o $@ $(ALLOC_SRC)

.PHONY: bench-alloc-instruments
bench-alloc-instruments: $(B)/libmemwhy-malloc.so $(B)/alloc-bare/libmemwhy-malloc.so $(B)/tests/bench/alloc/workloads \
		$(B)/tests/bench/alloc/empty.so
	@BUILD=$(B) python3 tests/bench/alloc/run.py --rounds $(ROUNDS) --base bare --allocators bare,memwhy \
		--with bare=$(B)/alloc-bare/libmemwhy-malloc.so $(BENCH_ARGS)

INSTALL_EXTRA += $(INSTALL) -D -m 755 $(B)/libmemwhy-malloc.so \
	"$(DESTDIR)$(PREFIX)/lib/libmemwhy-malloc.so" && \
	$(INSTALL) -D -m 644 lib/alloc/memwhy-malloc.h \
	"$(DESTDIR)$(PREFIX)/include/memwhy-malloc.h" && \
	$(INSTALL) -D -m 644 $(B)/libmemwhy-malloc.a "$(DESTDIR)$(PREFIX)/lib/libmemwhy-malloc.a";
