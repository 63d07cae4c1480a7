/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a file is hardened. What cannot be derived is unknown, not "no": RELRO is full only
 * with PT_GNU_RELRO and immediate binding; a canary is seen by its handler, which a
 * stripped static program does not name; a checked function proves FORTIFY, its absence
 * proves something only where a plain one that has a checked sister is imported.
 */
#include <string.h>

#include "../base/count.h"
#include "check.h"
#include "dynamic.h"
#include "notes.h"
#include "symbols.h"

static const struct mw__phdr *segment(const struct mw_elf *elf, uint32_t type)
{
	for (size_t i = 0; i < elf->n_ph; i++)
		if (elf->ph[i].type == type)
			return &elf->ph[i];
	return NULL;
}

static bool has_flag(const struct mw__elf_dynamic *dyn, uint64_t tag, uint64_t bit)
{
	uint64_t v;

	return mw__dyn_get(dyn, tag, &v) && (v & bit);
}

/* What the object will ask the linker for. */
static const char *stack_of_object(const struct mw_elf *elf)
{
	size_t i = mw__elf_section_by_name(elf, ".note.GNU-stack");

	if (elf->n_sh <= 1)
		return "unknown";
	return i >= elf->n_sh ? "executable: no .note.GNU-stack" : elf->sh[i].flags & SHF_EXECINSTR ? "executable" : "not executable";
}

/* What the answers about the layout go by. */
struct linkage {
	const struct mw_elf *elf;
	const struct mw__elf_dynamic *dyn;	/* or NULL */
	bool is_linked;		/* a program or library, no object file */
	bool is_lost;		/* what the dynamic table would tell is not known */
	bool has_interp;
};

static bool has_tag(const struct linkage *l, uint64_t tag)
{
	uint64_t v;

	return mw__dyn_get(l->dyn, tag, &v);
}

static enum mw__answer is_static(const struct linkage *l)
{
	if (!l->is_linked)
		return MW__CANNOT_KNOW;
	if (l->has_interp || has_tag(l, DT_NEEDED))
		return MW__NO;
	bool needs_nothing = l->elf->eh.type == ET_DYN && !has_flag(l->dyn, DT_FLAGS_1, DF_1_PIE);	/* may be a library */

	return l->is_lost || needs_nothing ? MW__CANNOT_KNOW : MW__YES;
}

static const char *pie_of(const struct linkage *l)
{
	if (l->elf->eh.type == ET_EXEC)
		return "no";
	if (l->elf->eh.type != ET_DYN)
		return "not linked";
	return l->has_interp || has_flag(l->dyn, DT_FLAGS_1, DF_1_PIE) ? "yes" : "shared object";
}

static const char *relro_of(const struct linkage *l, enum mw__answer is_static)
{
	if (!l->is_linked)
		return "unknown";
	if (!segment(l->elf, PT_GNU_RELRO))
		return "none";
	if (l->is_lost || (is_static == MW__YES && !l->dyn))
		return "unknown";
	return has_tag(l, DT_BIND_NOW) || has_flag(l->dyn, DT_FLAGS, DF_BIND_NOW) || has_flag(l->dyn, DT_FLAGS_1, DF_1_NOW) ?
	       "full" : "partial";
}

static const char *stack_of(const struct linkage *l)
{
	const struct mw__phdr *stack = segment(l->elf, PT_GNU_STACK);

	if (l->elf->eh.type == ET_REL)
		return stack_of_object(l->elf);
	if (!l->is_linked || !l->elf->n_ph)
		return "unknown";
	return !stack ? "executable: no PT_GNU_STACK" : stack->flags & PF_X ? "executable" : "not executable";
}

static enum mw__answer has_textrel(const struct linkage *l)
{
	if (l->is_lost)
		return MW__CANNOT_KNOW;
	return has_tag(l, DT_TEXTREL) || has_flag(l->dyn, DT_FLAGS, DF_TEXTREL) ? MW__YES : MW__NO;
}

static enum mw__answer has_writable_code(const struct linkage *l)
{
	if (!l->is_linked || !l->elf->n_ph)
		return MW__CANNOT_KNOW;
	for (size_t i = 0; i < l->elf->n_ph; i++)
		if (l->elf->ph[i].type == PT_LOAD && (l->elf->ph[i].flags & PF_W) && (l->elf->ph[i].flags & PF_X))
			return MW__YES;
	return MW__NO;
}

/* A text of the dynamic table, NULL without one. */
static const char *text_of(const struct linkage *l, uint64_t tag)
{
	uint64_t v;

	if (l->is_lost)
		return "unknown";
	return mw__dyn_get(l->dyn, tag, &v) ? mw__strtab_at(l->dyn->str, v) : NULL; /* NOLINT(clang-analyzer-core.NullDereference) */
}

static void find_layout(struct mw_elf *elf, struct mw__security *s)
{
	const struct mw__elf_dynamic *dyn = mw__elf_dynamic(elf);
	bool is_linked = elf->eh.type == ET_EXEC || elf->eh.type == ET_DYN;
	const struct linkage l = { elf, dyn, is_linked, !is_linked || (segment(elf, PT_DYNAMIC) && !dyn), segment(elf, PT_INTERP) };

	s->is_static = is_static(&l);
	s->pie = pie_of(&l);
	s->relro = relro_of(&l, s->is_static);
	s->stack = stack_of(&l);
	s->textrel = has_textrel(&l);
	s->writable_code = has_writable_code(&l);
	s->rpath = text_of(&l, DT_RPATH);
	s->runpath = text_of(&l, DT_RUNPATH);
}

/* Functions that _FORTIFY_SOURCE replaces by __NAME_chk. */
static const char *const checkable[] = {
	"asprintf", "confstr", "dprintf", "explicit_bzero", "fdelt", "fgets", "fgets_unlocked", "fgetws",
	"fprintf", "fread", "fread_unlocked", "fwprintf", "getcwd", "getdomainname", "getgroups", "gethostname",
	"getlogin_r", "gets", "getwd", "longjmp", "mbsnrtowcs", "mbsrtowcs", "mbstowcs", "memcpy", "memmove",
	"mempcpy", "memset", "obstack_printf", "poll", "ppoll", "pread", "pread64", "printf", "ptsname_r",
	"read", "readlink", "readlinkat", "realpath", "recv", "recvfrom", "snprintf", "sprintf", "stpcpy",
	"stpncpy", "strcat", "strcpy", "strncat", "strncpy", "swprintf", "syslog", "ttyname_r", "vasprintf",
	"vdprintf", "vfprintf", "vfwprintf", "vprintf", "vsnprintf", "vsprintf", "vswprintf", "vsyslog",
	"vwprintf", "wcrtomb", "wcscat", "wcscpy", "wcsncat", "wcsncpy", "wcsnrtombs", "wcsrtombs", "wcstombs",
	"wctomb", "wmemcpy", "wmemmove", "wmempcpy", "wmemset", "wprintf",
};

static bool is_checkable(const char *name, size_t len)
{
	for (size_t i = 0; i < MW__COUNT(checkable); i++)
		if (!strncmp(checkable[i], name, len) && !checkable[i][len])
			return true;
	return false;
}

static bool is_checked(const char *name)
{
	size_t len = strlen(name);

	return len > 6 && !memcmp(name, "__", 2) && !strcmp(name + len - 4, "_chk") && is_checkable(name + 2, len - 6);
}

static void look_at_symbol(struct mw__security *s, const char *name, bool imported)
{
	if (!strncmp(name, "__stack_chk_fail", 16) || !strncmp(name, "__stack_chk_guard", 17))
		s->canary = MW__YES;
	if (!imported)
		return;
	if (is_checked(name))
		s->fortified++;
	else if (name[0] != '_' && is_checkable(name, strlen(name)))
		s->unfortified++;
}

static void find_functions(struct mw_elf *elf, struct mw__security *s)
{
	struct mw__symtab t;
	struct mw__sym sym;
	size_t i = mw__elf_section_by_type(elf, SHT_SYMTAB, 1);
	bool is_static = s->is_static == MW__YES;
	bool ok = elf->eh.type != ET_REL && mw__symtab_open_dynsym(elf, &t);

	if (is_static || !ok)
		ok = i < elf->n_sh && mw__symtab_open(elf, i, &t);
	s->canary = ok ? MW__NO : MW__CANNOT_KNOW;
	if (!ok)
		s->fortified = s->unfortified = MW_UNKNOWN;
	for (size_t k = 1; ok && k < t.n; k++) {
		mw__sym_at(&t, k, &sym);
		if (sym.name && *sym.name)
			look_at_symbol(s, sym.name, sym.shndx == SHN_UNDEF);
	}
	if (is_static && ok)	/* checked functions of libc are inside, whoever calls them */
		s->fortified = s->unfortified = MW_UNKNOWN;
}

static void note_property(void *ctx, const char *key, const char *text)
{
	struct mw__security *s = ctx;

	if (strcmp(key, "x86_feature"))
		return;
	s->ibt = strstr(text, "IBT") ? MW__YES : MW__NO;
	s->shstk = strstr(text, "SHSTK") ? MW__YES : MW__NO;
}

static void find_cet(struct mw_elf *elf, struct mw__security *s)
{
	struct mw__notes t;
	struct mw__elfnote n;
	int rc;

	bool can_tell = (elf->eh.machine == EM_X86_64 || elf->eh.machine == EM_386) && elf->eh.type != ET_CORE && (elf->n_ph || elf->n_sh > 1);

	s->ibt = s->shstk = can_tell ? MW__NO : MW__CANNOT_KNOW;
	for (size_t i = 0; (rc = mw__notes_open(elf, i, &t)) >= 0; i++)
		while (rc && mw__notes_next(&t, &n))
			if (!strcmp(n.owner, "GNU") && n.type == NT_GNU_PROPERTY_TYPE_0)
				mw__note_decode(elf, &n, note_property, s);
}

void mw__elf_security(struct mw_elf *elf, struct mw__security *ret)
{
	memset(ret, 0, sizeof(*ret));
	find_layout(elf, ret);
	find_functions(elf, ret);
	find_cet(elf, ret);
}
