#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# memwhy elf as a command: inputs of every kind, exit status, write errors.

elf() { "$MEMWHY" elf "$@"; }
# Memory of a process that is not our child: root, or a kernel that lets users look at their own.
may_look() { [ "$(id -u)" = 0 ] || [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ] || skip "ptrace_scope forbids it"; }
setup() { T=$BATS_TEST_TMPDIR; cp /bin/true "$T/prog"; }

@test "a clean file ends with 0" {
	run elf -h "$T/prog"
	[ "$status" -eq 0 ]
	[[ "$output" == *"ELF64"* ]]
}

@test "standard input and a pipe give what the file gives" {
	elf -h -l -S "$T/prog" >"$T/want"
	elf -h -l -S - <"$T/prog" | diff - "$T/want"
	cat "$T/prog" | elf -h -l -S - | diff - "$T/want"
	elf -h -l -S <(cat "$T/prog") | diff - "$T/want"
}

@test "readelf's long names work" {
	for o in all file-header program-headers segments section-headers sections headers syms symbols dyn-syms \
		notes relocs unwind dynamic version-info arch-specific histogram section-groups section-details wide; do
		elf --$o "$T/prog" >/dev/null
	done
}

@test "options of readelf that change nothing here are taken, combined letters too" {
	for o in -T -H --silent-truncation --no-demangle --recurse-limit --no-recurse-limit --sym-base=10 -Ul -wK -WT; do
		elf $o "$T/prog" >/dev/null
	done
	elf -h -l -S "$T/prog" >"$T/want"
	elf -WhlS "$T/prog" | diff - "$T/want"
	elf -e "$T/prog" | diff - "$T/want"
	elf --strings=.dynstr "$T/prog" >"$T/want"
	elf -p.dynstr "$T/prog" | diff - "$T/want"
	elf -u "$T/prog" >"$T/want"
	for o in -wf -wF --debug-dump=frames --exception; do elf $o "$T/prog" | diff - "$T/want"; done
	elf --check "$T/prog" >"$T/want"
	for o in -L --lint --enable-checks; do elf $o "$T/prog" | diff - "$T/want"; done
}

@test "options of readelf that are not there say so" {
	for o in -w -wi --debug-dump=info --ctf=1 --sframe --lto-syms --dwarf-depth=1 --elf-section --sym-base=8 -Ue; do
		run elf $o "$T/prog"
		[ "$status" -eq 2 ]
		[[ "$output" == "memwhy: elf: "* ]]
	done
}

@test "-P shows the debug file after the file" {
	command -v objcopy >/dev/null || skip "there is no objcopy"
	echo 'static int hidden(int x) { return x; } int main(void) { return hidden(0); }' >"$T/p.c"
	"${CC:-gcc}" -g -O0 -o "$T/p" "$T/p.c"
	objcopy --only-keep-debug "$T/p" "$T/p.debug"
	strip "$T/p"
	objcopy --add-gnu-debuglink="$T/p.debug" "$T/p"
	run elf -P -S "$T/p"
	[ "$status" -eq 0 ]
	[[ "$output" == *"File: $T/p"*"File: $T/p.debug"*".debug_info"* ]]
}

@test "what is not ELF ends with 3 and says so" {
	echo text >"$T/text"
	: >"$T/empty"
	for f in "$T/text" "$T/empty" "$T" /dev/null "$T/missing"; do
		run elf "$f"
		[ "$status" -eq 3 ]
		[[ "$output" == "memwhy: $f: "* ]]
	done
}

@test "a fifo that nobody writes is no hang" {
	mkfifo "$T/fifo"
	run timeout 5 "$MEMWHY" elf "$T/fifo"
	[ "$status" -eq 3 ]
}

@test "one bad file among several costs only itself" {
	echo text >"$T/text"
	run elf -h "$T/prog" "$T/text" "$T/prog"
	[ "$status" -eq 3 ]
	[ "$(grep -c ELF64 <<<"$output")" -eq 2 ]
}

@test "a malformed file is printed and ends with 1" {
	printf '\xff\xff' | dd of="$T/prog" bs=1 seek=62 conv=notrunc status=none
	run elf -h "$T/prog"
	[ "$status" -eq 1 ]
	[[ "$output" == *e_shstrndx* ]]
}

@test "a write error is never 0" {
	run bash -c '"$1" elf -a "$2" >/dev/full' - "$MEMWHY" "$T/prog"
	[ "$status" -ne 0 ]
	[[ "$output" == *"No space left"* ]]
}

@test "usage errors end with 2" {
	run elf
	[ "$status" -eq 2 ]
	run elf --nonsense "$T/prog"
	[ "$status" -eq 2 ]
	run elf --diff "$T/prog"
	[ "$status" -eq 2 ]
}

@test "without section headers symbols and relocations come through PT_DYNAMIC" {
	elf --dyn-syms --json "$T/prog" | jq -S '[.files[0].symbols[0].entries[] | {value, name}]' >"$T/want"
	printf '\0\0\0\0\0\0\0\0' | dd of="$T/prog" bs=1 seek=40 conv=notrunc status=none
	printf '\0\0\0\0' | dd of="$T/prog" bs=1 seek=60 conv=notrunc status=none
	elf --dyn-syms --json "$T/prog" | jq -S '[.files[0].symbols[0].entries[] | {value, name}]' | diff - "$T/want"
	[ "$(elf -s --json "$T/prog" | jq -r '.files[0].symbols[0].table')" = PT_DYNAMIC ]
	[ "$(elf -r --json "$T/prog" | jq '.files[0].relocations | length')" -ge 1 ]
	[ "$(elf -V --json "$T/prog" | jq '.files[0].versions.needed.needs | length')" -ge 1 ]
}

@test "sizes sum to the file and to the plan" {
	for by in section segment symbol; do
		elf --sizes=$by --plan --json "$T/prog" >"$T/json"
		[ "$(jq '[.files[0].sizes.owners[].file] | add' "$T/json")" -eq "$(stat -c %s "$T/prog")" ]
		[ "$(jq '[.files[0].sizes.owners[].memory] | add' "$T/json")" -eq "$(jq '.files[0].plan.vsz' "$T/json")" ]
	done
}

@test "a file does not differ from itself" {
	[ "$(elf --diff --json "$T/prog" "$T/prog" | jq '.diff.changes | length')" -eq 0 ]
	[ "$(elf --diff --json "$T/prog" /bin/ls | jq '[.diff.changes[].file_delta] | add')" -eq \
		"$(($(stat -L -c %s /bin/ls) - $(stat -c %s "$T/prog")))" ]
}

@test "an archive stands for its members" {
	printf 'int a(void) { return 1; }\n' >"$T/a_name_longer_than_fifteen.c"
	printf 'int b(void) { return 2; }\n' >"$T/b.c"
	(cd "$T" && ${CC:-gcc} -c ./*.c && ar rcs lib.a ./*.o)
	elf -s -c --json "$T/lib.a" >"$T/json"
	[ "$(jq -r '.files[].member // empty' "$T/json" | sort | tr '\n' ' ')" = "a_name_longer_than_fifteen.o b.o " ]
	[ "$(jq -r '.files[-1].index[].symbol' "$T/json" | sort | tr '\n' ' ')" = "a b " ]
}

@test "the vdso and the program of a running process" {
	may_look
	sleep 60 &
	pid=$!
	run elf --dyn-syms --pid $pid --map '[vdso]'
	kill $pid
	[ "$status" -eq 0 ]
	[[ "$output" == *__vdso_clock_gettime* ]]
}

@test "compressed sections inflate to what objcopy makes of them" {
	head -c 5000 /dev/zero | tr '\0' x >"$T/data"
	printf 'int main(void) { return 0; }\n' >"$T/m.c"
	${CC:-gcc} -g -c -o "$T/m.o" "$T/m.c"
	for how in zlib-gabi zlib-gnu; do
		objcopy --compress-debug-sections=$how "$T/m.o" "$T/z.o"
		s=.debug_str
		[ $how = zlib-gnu ] && readelf -S "$T/z.o" | grep -q zdebug_str && s=.zdebug_str
		diff <(elf -z -p $s --json "$T/z.o" | jq '.files[0].dumps[0].strings') \
			<(elf -p .debug_str --json "$T/m.o" | jq '.files[0].dumps[0].strings')
	done
}

@test "lines and types agree with what the compiler saw" {
	printf 'struct s { char a; long b; int c; };\nstruct s v;\nint main(void) { return v.c; }\n' >"$T/m.c"
	(cd "$T" && ${CC:-gcc} -g -o m m.c)
	elf --type s --json "$T/m" | jq -c '.files[0].dwarf.type | [.size, .hole_bytes, .padding_at_end]' | grep -qx '\[24,7,4\]'
	a=0x$(nm "$T/m" | awk '$3 == "main" { print $1 }')
	elf --addr "$a" --json "$T/m" | jq -r '.files[0].dwarf.lines[0] | "\(.function) \(.line)"' | grep -qx 'main 3'
}

@test "bit fields and member offsets, in every version of DWARF and both byte orders" {
	printf 'struct b { int x:3; int y:7; long long z:40; char c; int w:9; } g;\n' >"$T/m.c"
	want='[[0,0,3,"x"],[0,3,7,"y"],[1,2,40,"z"],[7,0,null,"c"],[8,0,9,"w"]] 0 6'
	for v in 2 3 4 5; do
		${CC:-gcc} -gdwarf-$v -gstrict-dwarf -c -o "$T/m.o" "$T/m.c"
		got=$(elf --type b --json "$T/m.o" | jq -c '.files[0].dwarf.type | [.members[] | [.offset, .bit_offset, .bit_size, .name]], .holes, .padding_at_end')
		[ "$(echo $got)" = "$want" ] || { echo "DWARF $v: $got"; false; }
		for clang in clang clang-14; do
			command -v $clang >/dev/null && $clang --target=powerpc64-linux-gnu -gdwarf-$v -c -o "$T/m.o" "$T/m.c" || continue
			got=$(elf --type b --json "$T/m.o" | jq -c '.files[0].dwarf.type | [.members[] | [.offset, .bit_offset, .bit_size, .name]], .holes, .padding_at_end')
			[ "$(echo $got)" = "$want" ] || { echo "DWARF $v, big-endian: $got"; false; }
			break
		done
	done
}

@test "an array whose length is not told has no length, one of no elements has 0" {
	printf 'struct s { int n[3][2]; char none[0]; char text[]; } *p;\n' >"$T/a.c"
	${CC:-gcc} -g -c -o "$T/a.o" "$T/a.c"
	elf --type=s --json "$T/a.o" >"$T/json"
	[ "$(jq -c '[.files[0].dwarf.type.members[].type]' "$T/json")" = '["int[3][2]","char[0]","char[]"]' ]
}

@test "where a virtual base lies is unknown, not 0" {
	printf 'struct base { int i; };\nstruct s : virtual base { char a; double d; } v;\n' >"$T/m.cc"
	g++ -g -c -o "$T/m.o" "$T/m.cc" || skip "no C++ compiler"
	got=$(elf --type s --json "$T/m.o" | jq -c '.files[0].dwarf.type | [.members[] | [.offset, .hole_before, .name]], .padding_at_end')
	[ "$(echo $got)" = '[[null,null,"(base)"],[0,null,"_vptr.s"],[8,null,"a"],[16,7,"d"]] null' ] || { echo "$got"; false; }
}

@test "hardening is derived by name" {
	printf 'int main(void) { return 0; }\n' >"$T/m.c"
	check() { elf --check --json "$T/m" | jq -r ".files[0].check.security.$1"; }
	${CC:-gcc} -no-pie -Wl,-z,norelro -o "$T/m" "$T/m.c"
	[ "$(check pie)" = no ] && [ "$(check relro)" = none ]
	${CC:-gcc} -pie -Wl,-z,relro,-z,now -o "$T/m" "$T/m.c"
	[ "$(check pie)" = yes ] && [ "$(check relro)" = full ]
	${CC:-gcc} -pie -Wl,-z,relro,-z,lazy -fcf-protection=full -Wl,-z,ibt,-z,shstk -Wl,-rpath,/x -o "$T/m" "$T/m.c"
	[ "$(check relro)" = partial ] && [ "$(check ibt)" = yes ] && [ "$(check shstk)" = yes ] && [ "$(check runpath)" = /x ]
	${CC:-gcc} -Wl,-z,execstack -o "$T/m" "$T/m.c" 2>/dev/null
	[ "$(check stack)" = executable ]
}

@test "-p is readelf's before files, a process without any" {
	may_look
	elf -p .interp --json "$T/prog" | jq -r '.files[0].dumps[0].strings[0].string' | grep -q '^/lib.*ld'
	sleep 60 &
	pid=$!
	for _ in {1..500}; do [[ $(readlink /proc/$pid/exe) == */bash ]] || break; sleep 0.01; done
	elf -h --json -p $pid >"$T/by_p"
	elf -h --json --pid $pid >"$T/by_pid"
	elf --map '[vdso]' -h --json -p $pid >"$T/vdso"
	kill $pid
	diff "$T/by_p" "$T/by_pid"
	jq -r '.files[0].file' "$T/by_p" | grep -q "^pid $pid: /"
	jq -r '.files[0].file' "$T/vdso" | grep -qx "pid $pid: \[vdso\]"
	# a number is a section where there is a file
	n=$(readelf -WS "$T/prog" | sed -n 's/^ *\[ *\([0-9]*\)\] \.interp .*/\1/p')
	diff <(elf -p "$n" --json "$T/prog") <(elf -p .interp --json "$T/prog")
	run elf -p .interp
	[ "$status" -eq 2 ]
}

@test "options may follow the file, until --" {
	diff <(elf "$T/prog" -h) <(elf -h "$T/prog")
	cp "$T/prog" "$T/-h"
	cd "$T"
	[ "$(elf -S --json -- -h | jq -r '.files[0].file')" = -h ]
	run elf "$T/prog" -- -l
	[ "$status" -eq 3 ]
}

@test "--at and --map need a process, which needs no file" {
	run elf --map '[vdso]' "$T/prog"
	[ "$status" -eq 2 ]
	run elf --at 0x1000
	[ "$status" -eq 2 ]
	run elf --pid $$ "$T/prog"
	[ "$status" -eq 2 ]
	run elf --pid 0
	[ "$status" -eq 2 ]
}

@test "a library that was deleted is still there in memory" {
	may_look
	printf 'int deleted_function(void) { return 42; }\n' >"$T/d.c"
	printf '#include <dlfcn.h>\n#include <stdio.h>\n#include <unistd.h>\nint main(int c, char **v) { void *h = dlopen(v[1], RTLD_NOW); if (c < 2 || !h) return 1; printf("%%p\\n", dlsym(h, "deleted_function")); fflush(stdout); pause(); }\n' >"$T/m.c"
	(cd "$T" && ${CC:-gcc} -shared -fPIC -o libgone.so d.c && ${CC:-gcc} -o m m.c -ldl)
	elf --dyn-syms --json "$T/libgone.so" | jq -c '[.files[0].symbols[0].entries[] | [.name, .value, .size, .type]]' >"$T/want"
	build=$(elf -n --json "$T/libgone.so" | jq -c '[.files[0].notes[].entries[] | select(.type_name == "NT_GNU_BUILD_ID") | .details]')
	"$T/m" "$T/libgone.so" 3>&- >"$T/addr" &
	pid=$!
	until [ -s "$T/addr" ]; do sleep 0.1; done
	rm "$T/libgone.so" "$T/m"
	for which in "--map libgone.so" "--map $T/libgone.so" "--at $(cat "$T/addr")"; do
		elf -p $pid $which --dyn-syms -n --json >"$T/json"
		jq -c '[.files[0].symbols[0].entries[] | [.name, .value, .size, .type]]' "$T/json" | diff - "$T/want"
		[ "$(jq -c '[.files[0].notes[].entries[] | select(.type_name == "NT_GNU_BUILD_ID") | .details]' "$T/json")" = "$build" ]
	done
	elf -p $pid -h >"$T/out"	# the program, which is gone as well
	run elf -p $pid --map libnothere.so
	kill $pid
	[ "$status" -eq 3 ]
	grep -q 'ELF64' "$T/out"
}

@test "a program whose name holds a newline is found in its process" {
	may_look
	name=$T/$'a\nb'
	cp "$(command -v sleep)" "$name"
	"$name" 60 3>&- &
	pid=$!
	until [ "$(readlink "/proc/$pid/exe")" = "$name" ]; do sleep 0.05; done
	run elf -p $pid -h
	kill $pid
	[ "$status" -eq 0 ]
	[[ "$output" == *"ELF64"* ]]
}

@test "a process whose program header lays a thousand segments over each other is refused, not copied for an hour" {
	may_look
	cat >"$T/layers.py" <<-'EOF'
		import ctypes, mmap, struct, time
		m = mmap.mmap(-1, 1 << 20)
		head = b"\x7fELF" + bytes([2, 1, 1] + [0] * 9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1000, 64, 0, 0)
		m.write(head + struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, (1 << 30) - 1, (1 << 30) - 1, 4096) * 1000)
		print(hex(ctypes.addressof(ctypes.c_char.from_buffer(m))), flush=True)
		time.sleep(60)
	EOF
	python3 "$T/layers.py" >"$T/addr" 3>&- &
	pid=$!
	until [ -s "$T/addr" ]; do sleep 0.1; done
	run timeout 20 "$MEMWHY" elf -p $pid --at "$(cat "$T/addr")" -h
	kill $pid
	[ "$status" -eq 3 ]
	[[ "$output" == *"more than 1 GiB"* ]]
}

@test "a pipe without an end is refused by its first bytes, however they come" {
	(yes || true) 2>/dev/null | { run elf -h -; [ "$status" = 3 ]; [[ "$output" == *"starts with 79 0a 79 0a"* ]]; }
	(printf 'a\n'; sleep 0.2; yes || true) 2>/dev/null | { run elf -h -; [ "$status" = 3 ]; [[ "$output" == *"starts with 61 0a 79 0a"* ]]; }
	(head -c 3 "$T/prog"; sleep 0.2; tail -c +4 "$T/prog") | elf -h - | diff - <(elf -h "$T/prog")
}

@test "what a file has not is said" {
	# a header alone: without tables, and without where they would be
	{ head -c 32 "$T/prog"; head -c 16 /dev/zero; head -c 54 "$T/prog" | tail -c +49; head -c 10 /dev/zero; } >"$T/bare"
	[ "$(stat -c %s "$T/bare")" -eq 64 ]
	while read -r view text; do
		elf "$view" "$T/bare" | grep -qF "$text" || { echo "$view: not: $text"; return 1; }
	done <<-END
		-l There are no program headers.
		-S There are no section headers.
		-g There are no section groups.
		-d There is no dynamic table.
		-V There are no symbol versions.
		-r There are no relocations.
		-s There are no symbols.
		-n There are no notes.
		-u There are no unwind tables.
	END
	elf --type=nosuch "$T/prog" | grep -qF "There is no complete type of the name nosuch."
}
