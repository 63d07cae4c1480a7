#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# late.sh LIBRARY... -- OBJECT...: assembly that makes the command load these libraries when
# the first function of each is called, not when it starts: most commands need none of them,
# and the loader's work for all of them (libproc2 brings libsystemd, that brings five more)
# is larger than the work of `memwhy elf -h`. For each function that the objects call and a
# library defines there is a stub of the same name; its first call goes through late.c. The
# libraries' own headers are used as ever, and the objects do not know.
#
# What is loaded this way is told in .note.dlopen (the "FDO" note that packagers read), since
# ldd cannot see it. Without this file's output the command links in the ordinary way
# (make LATE=).
set -eu
: "${CC:=gcc}"
libs=
while [ "$1" != -- ]; do
	libs="$libs $1"
	shift
done
shift
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
nm -u "$@" | awk '$1 == "U" { print $2 }' | sort -u >"$tmp/called"

cat <<'HEAD'
	.section .note.GNU-stack,"",@progbits
	.text
	.hidden	late_load
	.type	late_first, @function
late_first:			# a stub has pushed its number; registers carry the arguments
	.cfi_startproc
	.cfi_adjust_cfa_offset 8
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	mov	%rsp, %rbp
	.cfi_def_cfa_register rbp
	and	$-16, %rsp
	sub	$192, %rsp
	mov	%rax, (%rsp)
	mov	%rdi, 8(%rsp)
	mov	%rsi, 16(%rsp)
	mov	%rdx, 24(%rsp)
	mov	%rcx, 32(%rsp)
	mov	%r8, 40(%rsp)
	mov	%r9, 48(%rsp)
	movaps	%xmm0, 64(%rsp)
	movaps	%xmm1, 80(%rsp)
	movaps	%xmm2, 96(%rsp)
	movaps	%xmm3, 112(%rsp)
	movaps	%xmm4, 128(%rsp)
	movaps	%xmm5, 144(%rsp)
	movaps	%xmm6, 160(%rsp)
	movaps	%xmm7, 176(%rsp)
	mov	8(%rbp), %edi
	call	late_load
	mov	8(%rbp), %ecx
	lea	late_where(%rip), %rdx
	mov	%rax, (%rdx,%rcx,8)
	mov	%rax, %r11
	movaps	176(%rsp), %xmm7
	movaps	160(%rsp), %xmm6
	movaps	144(%rsp), %xmm5
	movaps	128(%rsp), %xmm4
	movaps	112(%rsp), %xmm3
	movaps	96(%rsp), %xmm2
	movaps	80(%rsp), %xmm1
	movaps	64(%rsp), %xmm0
	mov	48(%rsp), %r9
	mov	40(%rsp), %r8
	mov	32(%rsp), %rcx
	mov	24(%rsp), %rdx
	mov	16(%rsp), %rsi
	mov	8(%rsp), %rdi
	mov	(%rsp), %rax
	leave
	.cfi_def_cfa rsp, 16
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	jmp	*%r11
	.cfi_endproc
	.size	late_first, .-late_first
HEAD

: >"$tmp/list"
for lib in $libs; do
	file=$($CC -print-file-name="lib$lib.so")
	# a linker script names the library it stands for
	case $(head -c 4 "$file" | tr -d '\177') in ELF) ;; *)
		file=$(tr ' ()' '\n' <"$file" | grep -m 1 "/lib$lib\.so")
	esac
	# what the linker would write into DT_NEEDED
	so=$(readelf -d "$file" 2>/dev/null | sed -n 's/.*(SONAME).*\[\(.*\)\]$/\1/p')
	[ -n "$so" ] || { echo "late.sh: lib$lib: no SONAME in $file" >&2; exit 1; }
	# what the objects call of it; a name@@version is asked for with its version
	nm -D --defined-only "$file" | awk -v so="$so" -v called="$tmp/called" '
		BEGIN { while ((getline name < called) > 0) want[name] = 1 }
		{ at = index($3, "@@"); name = at ? substr($3, 1, at - 1) : $3 }
		!(name in want) { next }
		$2 != "T" && $2 != "W" && $2 != "i" { print "late.sh: " name " is not a function" >"/dev/stderr"; exit 1 }
		{ print so, name, at ? substr($3, at + 2) : "-" }' >"$tmp/one"
	[ -s "$tmp/one" ] || continue
	cat "$tmp/one" >>"$tmp/list"
	cat <<NOTE
	.section .note.dlopen,"a",@note
	.balign	4
	.long	4, 2f - 1f, 0x407c0c0a
	.asciz	"FDO"
1:	.asciz	"[{\"feature\":\"$lib\",\"description\":\"loaded by the commands that need it\",\"priority\":\"required\",\"soname\":[\"$so\"]}]"
2:	.balign	4
NOTE
done

awk '
	BEGIN { print "\t.text" }
	{
		printf "\t.globl\t%s\n\t.hidden\t%s\n\t.type\t%s, @function\n\t.balign 16\n%s:\n", $2, $2, $2, $2
		printf "\t.cfi_startproc\n\tendbr64\n\tmov\tlate_where+%d(%%rip), %%r11\n\ttest\t%%r11, %%r11\n", 8 * (NR - 1)
		printf "\tjz\t1f\n\tjmp\t*%%r11\n1:\tpush\t$%d\n\t.cfi_adjust_cfa_offset 8\n\tjmp\tlate_first\n", NR - 1
		printf "\t.cfi_endproc\n\t.size\t%s, .-%s\n", $2, $2
		text = text sprintf("\t.asciz\t\"%s\"\n\t.asciz\t\"%s\"\n\t.asciz\t\"%s\"\n", $1, $2, $3)
	}
	END {
		# library, function and version of each stub, one after the other
		printf "\t.section .rodata\n\t.globl\tlate_names\n\t.hidden\tlate_names\nlate_names:\n%s\t.byte\t0\n", text
		printf "\t.bss\n\t.balign 8\nlate_where:\n\t.zero\t%d\n", 8 * NR + 8
	}' "$tmp/list"
