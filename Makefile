# SPDX-License-Identifier: GPL-3.0-or-later
# memwhy: `make help` lists the targets. One Makefile, nothing recursive; every
# product lies below $(B).

B       ?= build
B_ABS   = $(if $(filter /%,$(B)),,$(CURDIR)/)$(B)
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
CFLAGS  ?= -O2 -g
LDFLAGS ?=
CLANG   ?= clang-14
INSTALL ?= install

VERSION := $(shell sed -n 's/^\#define MW_VERSION "\(.*\)"/\1/p' lib/memwhy.h)
# Somebody else who installs what was built may not ask git about the tree: what the build knew then stays.
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || cat '$(B)/commit' 2>/dev/null || echo unknown)
SOVER   := 0

# What the build needs, what the tests need beside it, and what `make lint` and
# `make fuzz` need beside that, by Debian's package names.
DEPS := gcc libc6-dev libelf-dev libdw-dev libdwarf-dev libproc2-dev libsmartcols-dev \
	libjson-c-dev zlib1g-dev libzstd-dev liblzma-dev libiberty-dev
DEPS_CHECK := python3 bats mandoc procps gdb elfutils binutils golang-go busybox-static \
	gcc-multilib g++ musl-tools util-linux jq pkgconf redis-server libdebuginfod1
# assemblers and linkers of other machines, and yaml2obj: tests/elf/machines.py
DEPS_CHECK += llvm-14 $(patsubst %,binutils-%,arm-linux-gnueabi aarch64-linux-gnu riscv64-linux-gnu \
	powerpc-linux-gnu powerpc64-linux-gnu s390x-linux-gnu mips-linux-gnu mips64el-linux-gnuabi64 \
	sparc64-linux-gnu m68k-linux-gnu)
DEPS_LINT := clang-tidy-14 cppcheck shellcheck codespell mandoc
DEPS_FUZZ := clang-14 libclang-rt-14-dev

LIBS := -lelf -ldwarf -lproc2 -lsmartcols -ljson-c -liberty -lz -lzstd -llzma -lm
# Of these the command loads when it first calls them (lib/README.md, Start-up); LATE= links it plainly.
LATE := $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),dwarf proc2 smartcols json-c zstd lzma m elf z)
# Where linker and C library know how, 6,000 pointers to relocate are 1.5 KiB to read at each start, not 140.
RELR := $(if $(LATE),$(shell printf '%s\n' '\#include <features.h>' '\#if __GLIBC_PREREQ(2, 36)' relr '\#endif' | \
	$(CC) -E -P - 2>/dev/null))
comma := ,
CMD_LDFLAGS := $(if $(filter relr,$(RELR)),-Wl$(comma)-z$(comma)pack-relative-relocs)
WARN := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wwrite-strings \
	-Wpointer-arith -Wvla
ALL_CPPFLAGS := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(CPPFLAGS)
ALL_CFLAGS := -std=gnu11 $(WARN) -fvisibility=hidden '-ffile-prefix-map=$(CURDIR)=.' $(CFLAGS)

V ?= 0
Q := $(if $(filter 0,$(V)),@)
say = $(if $(filter 0,$(V)),@printf '  %-8s %s\n' '$(1)' '$(2)')

# Goals that install packages come before everything else, also under -j.
FIRST := $(filter deps deps-check deps-lint deps-fuzz,$(MAKECMDGOALS))

LIB_SRC := $(filter-out lib/alloc/%,$(wildcard lib/*/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
CMD_SRC := $(wildcard cmd/*.c)
CMD_OBJ := $(CMD_SRC:%.c=$(B)/%.o)
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
FAULT := $(patsubst tests/fault/%.c,$(B)/tests/fault/%,$(wildcard tests/fault/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
CLI := $(wildcard tests/cli/*.bats)
MAN := $(wildcard man/*.[1-8])

COMPLETIONS := $(addprefix $(B)/completions/,bash zsh fish)

.PHONY: all
all: $(B)/memwhy $(B)/libmemwhy.a $(B)/libmemwhy.so $(B)/libmemwhy.pc $(COMPLETIONS)

# Parts with rules of their own; each adds to ALL_EXTRA, *_TESTS and *_TESTS_HEAVY.
-include lib/alloc/alloc.mk
-include tests/live/live.mk
-include tests/elf/elf.mk
-include tests/faults/faults.mk
-include tests/heap/heap.mk
-include tests/pages/pages.mk
all: $(ALL_EXTRA)

# ---------------------------------------------------------------- compiling

$(B)/%.o: %.c | $(FIRST)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(if $(filter lib/%,$<),-fPIC) -MMD -MP -c -o $@ $<

# Versions are told by one file, which is compiled anew when the commit changes.
$(B)/commit: FORCE
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' >$@
$(B)/lib/collect/version.o: $(B)/commit
$(B)/lib/collect/version.o: ALL_CPPFLAGS += -DMW_COMMIT='"$(COMMIT)"'
.PHONY: FORCE
FORCE:

$(B)/libmemwhy.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/libmemwhy.so.$(SOVER): $(LIB_OBJ) lib/memwhy.map
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libmemwhy.so.$(SOVER) \
		-Wl,--version-script=lib/memwhy.map -Wl,--exclude-libs,ALL -Wl,-z,defs \
		-Wl,--as-needed -o $@ $(LIB_OBJ) $(LIBS)

$(B)/libmemwhy.so: $(B)/libmemwhy.so.$(SOVER)
	@ln -sf $(<F) $@

# Who builds for one prefix and installs to another gets a file of the second.
$(B)/libmemwhy.pc: FORCE
	@mkdir -p $(@D)
	@pc=$$(printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
		'Name: libmemwhy' 'Description: explains the memory of a process' \
		'Version: $(VERSION)' 'Requires.private: libelf libproc2 smartcols json-c' \
		'Libs: -L$${libdir} -lmemwhy' 'Libs.private: -ldwarf -liberty -lz -lzstd -llzma -lm' \
		'Cflags: -I$${includedir}') && { [ "$$pc" = "$$(cat '$@' 2>/dev/null)" ] || echo "$$pc" >'$@'; }

$(B)/late.S: cmd/late.sh Makefile $(CMD_OBJ) $(B)/libmemwhy.a
	$(call say,LATE,$@)
	$(Q)CC='$(CC)' cmd/late.sh $(LATE) -- $(CMD_OBJ) $(B)/libmemwhy.a >$@.new && mv $@.new $@

$(B)/memwhy: $(CMD_OBJ) $(B)/libmemwhy.a $(if $(LATE),$(B)/late.S)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(CMD_LDFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(filter-out $(LATE:%=-l%),$(LIBS)) -lpthread

# -------------------------------------------------------------- what it needs

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
apt = $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -q --no-install-recommends
have = dpkg-query -W -f '$${Status}\n' $(1) 2>/dev/null | grep -c '^install ok installed' | grep -qx $(words $(1))

.PHONY: deps deps-check deps-lint deps-fuzz
deps:
	@$(call have,$(DEPS)) || { set -x; $(apt) $(DEPS); }
deps-check:
	@$(call have,$(DEPS) $(DEPS_CHECK)) || { set -x; $(apt) $(DEPS) $(DEPS_CHECK); }
deps-lint:
	@$(call have,$(DEPS_LINT)) || { set -x; $(apt) $(DEPS_LINT); }
deps-fuzz:
	@$(call have,$(DEPS_FUZZ)) || { set -x; $(apt) $(DEPS_FUZZ); }

# ---------------------------------------------------------------------- using

.PHONY: demo
demo: $(B)/memwhy
	@$(B)/memwhy demo

# -------------------------------------------------------------------- testing

$(B)/tests/unit/%: tests/unit/%.c $(B)/libmemwhy.a | $(FIRST)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Wno-missing-prototypes $(LDFLAGS) -Ilib -MMD -MP -o $@ $< \
		$(B)/libmemwhy.a $(LIBS) -lpthread

WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(B)/tests/fault/test_collect $(B)/tests/fault/test_views: WRAP += -Wl,--wrap=openat64,--wrap=open64,--wrap=read,--wrap=pread64,--wrap=ioctl \
	-Wl,--wrap=readlinkat
$(B)/tests/fault/%: tests/fault/%.c $(B)/libmemwhy.a | $(FIRST)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Wno-missing-prototypes $(LDFLAGS) $(WRAP) -Ilib -MMD -MP \
		-o $@ $< $(B)/libmemwhy.a $(LIBS) -lpthread

$(B)/tests/fault/target: tests/fault/target.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 -g -D_GNU_SOURCE $(WARN) -o $@ $< -lpthread
$(B)/tests/fault/test_collect: | $(B)/tests/fault/target

TESTS_QUICK := tests/lib/layers.sh $(UNIT) $(FAULT)
TESTS := $(TESTS_QUICK) tests/lib/readme.sh tests/lib/man.sh tests/golden/check.sh tests/lib/install.sh $(CLI) $(LIVE_TESTS) $(ELF_TESTS) $(FAULTS_TESTS) $(PAGES_TESTS) $(HEAP_TESTS) $(ALLOC_TESTS)
TESTS_HEAVY := $(LIVE_TESTS_HEAVY) $(PAGES_TESTS_HEAVY) $(ELF_TESTS_HEAVY) $(ALLOC_TESTS_HEAVY)
TEST_ENV = MEMWHY='$(B_ABS)/memwhy' BUILD='$(B_ABS)' CC='$(CC)'

.PHONY: check check-quick check-heavy
check: all $(TESTS) $(LIVE_TARGETS) $(HEAP_TARGETS) $(PAGES_PROGRAMS)
	@$(TEST_ENV) tests/run $(B)/tests/log $(TESTS)
check-quick: all $(TESTS_QUICK)
	@$(TEST_ENV) tests/run $(B)/tests/log $(TESTS_QUICK)
check-heavy: all $(TESTS_HEAVY) $(LIVE_TARGETS) $(PAGES_PROGRAMS)
	@$(TEST_ENV) tests/run $(B)/tests/log $(TESTS_HEAVY)

# README.md's two commands in a bare Debian tree; needs root, debootstrap and the network.
.PHONY: check-bare
check-bare:
	tests/bare.sh

# The suite again in a tree of its own, with the sanitizers on.
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
.PHONY: asan
asan:
	$(MAKE) B=$(B)/asan CFLAGS='-O1 -g $(ASAN)' LDFLAGS='$(ASAN)' check-asan

TESTS_ASAN := $(TESTS_QUICK) $(LIVE_TESTS) $(FAULTS_TESTS) $(PAGES_TESTS) $(HEAP_TESTS)
.PHONY: check-asan
check-asan: all $(TESTS_ASAN) $(LIVE_TARGETS) $(HEAP_TARGETS) $(PAGES_PROGRAMS)
	@$(TEST_ENV) ASAN_OPTIONS=detect_leaks=1 MEMWHY_SANITIZED=1 tests/run $(B)/tests/log $(TESTS_ASAN)

FUZZ_SECONDS ?= 20
FUZZ_CFLAGS := -std=gnu11 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
$(B)/tests/fuzz/%: tests/fuzz/%.c $(LIB_SRC) | $(FIRST)
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(ALL_CPPFLAGS) $(FUZZ_CFLAGS) -Ilib -o $@ $< $(LIB_SRC) $(LIBS) -lpthread
.PHONY: fuzz
fuzz: $(FUZZ)
	@for f in $(FUZZ); do \
		d=$(B)/tests/fuzz/corpus-$$(basename $$f); mkdir -p $$d; s=tests/fuzz/seeds/$$(basename $$f); \
		echo "$$f for $(FUZZ_SECONDS) s"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
			-artifact_prefix=$$d- $$d $$( [ -d $$s ] && echo $$s ) >$$d.log 2>&1 || { tail -30 $$d.log; exit 1; }; \
		grep -E 'number_of_executed_units|peak_rss' $$d.log; done

$(B)/tests/bench/launch $(B)/tests/bench/faulty $(B)/tests/bench/sampled: $(B)/tests/bench/%: tests/bench/%.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $<

$(B)/tests/bench/elf_floor: tests/bench/elf_floor.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< -lelf

.PHONY: bench bench-elf
bench-elf: $(B)/memwhy $(B)/tests/bench/launch $(B)/tests/bench/elf_floor
	@$(TEST_ENV) python3 tests/bench/elf.py $(BENCH_ELF_ARGS)
BENCH_PAGES := $(B)/tests/bench/launch $(B)/tests/bench/faulty $(B)/tests/bench/sampled $(PAGES_DIR)/rawrollup
bench: all $(B)/tests/bench/elf_floor $(BENCH_PAGES) $(LIVE_DIR)/many $(LIVE_DIR)/resident $(BENCH_PROGRAMS)
	@$(TEST_ENV) python3 tests/bench/bench.py $(BENCH_ARGS); status=$$?; \
		$(TEST_ENV) python3 tests/bench/pages.py $(BENCH_PAGES_ARGS) || status=1; \
		$(TEST_ENV) python3 tests/bench/elf.py $(BENCH_ELF_ARGS) && exit $$status
.PHONY: bench-pages
bench-pages: $(B)/memwhy $(BENCH_PAGES)
	@$(TEST_ENV) python3 tests/bench/pages.py $(BENCH_PAGES_ARGS)

# Left out are checks of style, and those that do not follow the cleanup attribute or a statement
# expression (leaks, va_list, dead stores of an ownership that was handed over).
TIDY := bugprone-*,clang-analyzer-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier
TIDY := $(TIDY),-bugprone-sizeof-expression,-bugprone-macro-parentheses,-bugprone-branch-clone
TIDY := $(TIDY),-bugprone-suspicious-string-compare,-bugprone-implicit-widening-of-multiplication-result
TIDY := $(TIDY),-bugprone-narrowing-conversions,-bugprone-misplaced-widening-cast
TIDY := $(TIDY),-clang-analyzer-security.insecureAPI.*,-clang-analyzer-unix.Malloc
TIDY := $(TIDY),-clang-analyzer-valist.Uninitialized,-clang-analyzer-deadcode.DeadStores
TIDY := $(TIDY),-clang-analyzer-optin.performance.Padding
ANALYZER := -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-file-leak -Wno-analyzer-null-dereference \
	-Wno-analyzer-null-argument
LINT_OK := $(patsubst %.c,$(B)/lint/%.ok,$(LIB_SRC) $(CMD_SRC) $(ALLOC_SRC))
$(B)/lint/lib/alloc/%.ok: ALL_CPPFLAGS := -Ilib/alloc -I$(B)/alloc
$(B)/lint/lib/alloc/%.ok: WARN := -Wall -Wextra
$(B)/lint/lib/alloc/classes.ok: $(B)/alloc/sizeclasses.h
$(B)/lint/%.ok: %.c Makefile
	$(call say,LINT,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) -std=gnu11 $(WARN) -Werror -O1 $(ANALYZER) -MMD -MP -MF $(@:.ok=.d) -MT $@ -c -o /dev/null $<
	$(Q)clang-tidy-14 --quiet --warnings-as-errors='*' --checks='-*,$(TIDY)' $< -- $(ALL_CPPFLAGS) -std=gnu11 2>/dev/null
	@touch $@
-include $(wildcard $(LINT_OK:.ok=.d))
.PHONY: lint
lint: $(LINT_OK)
	cppcheck --quiet -j 2 --enable=warning,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=checkersReport --suppress=nullPointerRedundantCheck --suppress=resourceLeak \
		--std=c11 -D_GNU_SOURCE -D__x86_64__ -D__SIZEOF_POINTER__=8 -DMW_COMMIT='""' lib cmd
	for m in $(MAN); do mandoc -T lint -W warning $$m || exit 1; done
	shellcheck cmd/late.sh tests/run tests/*.sh tests/lib/*.sh tests/golden/*.sh tests/cli/helper.bash .ci/run
	codespell -q 3 --skip build,.git,man,tests/golden,tests/fuzz/seeds --ignore-words-list uptodate,nd,fo,ba,loos,ther lib cmd \
		tests README.md

# ----------------------------------------------------------------- installing

$(COMPLETIONS): $(B)/completions/%: $(B)/memwhy
	@mkdir -p $(@D)
	$(Q)$< completion $* >$@

BASH_COMP ?= $(PREFIX)/share/bash-completion/completions
ZSH_COMP  ?= $(PREFIX)/share/zsh/site-functions
FISH_COMP ?= $(PREFIX)/share/fish/vendor_completions.d
.PHONY: install uninstall
install: all
	$(INSTALL) -D -m 755 $(B)/memwhy "$(DESTDIR)$(PREFIX)/bin/memwhy"
	$(INSTALL) -D -m 644 lib/memwhy.h "$(DESTDIR)$(PREFIX)/include/memwhy.h"
	$(INSTALL) -D -m 644 $(B)/libmemwhy.a "$(DESTDIR)$(PREFIX)/lib/libmemwhy.a"
	$(INSTALL) -D -m 755 $(B)/libmemwhy.so.$(SOVER) "$(DESTDIR)$(PREFIX)/lib/libmemwhy.so.$(SOVER)"
	ln -sf libmemwhy.so.$(SOVER) "$(DESTDIR)$(PREFIX)/lib/libmemwhy.so"
	$(INSTALL) -D -m 644 $(B)/libmemwhy.pc "$(DESTDIR)$(PREFIX)/lib/pkgconfig/libmemwhy.pc"
	for m in $(MAN); do \
		$(INSTALL) -D -m 644 $$m "$(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}" || exit 1; done
	$(INSTALL) -D -m 644 $(B)/completions/bash "$(DESTDIR)$(BASH_COMP)/memwhy"
	$(INSTALL) -D -m 644 $(B)/completions/zsh "$(DESTDIR)$(ZSH_COMP)/_memwhy"
	$(INSTALL) -D -m 644 $(B)/completions/fish "$(DESTDIR)$(FISH_COMP)/memwhy.fish"
	$(INSTALL_EXTRA)
uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/bin/memwhy" "$(DESTDIR)$(PREFIX)/include/memwhy.h" \
		"$(DESTDIR)$(PREFIX)/lib/libmemwhy.a" "$(DESTDIR)$(PREFIX)/lib/libmemwhy.so"* \
		"$(DESTDIR)$(PREFIX)/lib/libmemwhy-malloc.so" "$(DESTDIR)$(PREFIX)/lib/libmemwhy-malloc.a" \
		"$(DESTDIR)$(PREFIX)/include/memwhy-malloc.h" \
		"$(DESTDIR)$(PREFIX)/lib/pkgconfig/libmemwhy.pc" "$(DESTDIR)$(BASH_COMP)/memwhy" \
		"$(DESTDIR)$(ZSH_COMP)/_memwhy" "$(DESTDIR)$(FISH_COMP)/memwhy.fish"
	for m in $(notdir $(MAN)); do rm -f "$(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$$m"; done

.PHONY: clean dist
clean:
	rm -rf $(B)
dist:
	@mkdir -p $(B)
	git archive --prefix=memwhy-$(VERSION)/ -o $(B)/memwhy-$(VERSION).tar.gz HEAD

.PHONY: help
help:
	@printf '%s\n' \
	'make             build the command and the library below build/' \
	'make deps        install what the build needs (Debian packages)' \
	'make demo        start a small program, explain its memory, end it' \
	'make check       run the tests (make deps-check installs what they need)' \
	'make check-heavy the long tests' \
	'make check-bare  README.md in a bare Debian tree (root, debootstrap)' \
	'make asan        the tests under AddressSanitizer and UBSan' \
	'make fuzz        every fuzzer for FUZZ_SECONDS (make deps-fuzz)' \
	'make bench       CPU and memory as ratios to other tools' \
	'make lint        static checks (make deps-lint)' \
	'make install     to $$(DESTDIR)$$(PREFIX); also uninstall, dist, clean'

-include $(LIB_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(UNIT:=.d) $(FAULT:=.d)
