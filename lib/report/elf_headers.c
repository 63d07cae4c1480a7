/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ELF header, the program headers and the section headers. Numbers come as numbers and
 * with their names; what extended numbering moved to section 0 is shown resolved.
 */
#include <stdio.h>
#include <string.h>

#include "../elf/dynamic.h"
#include "../elf/names.h"
#include "elf_view.h"

/* Looking at every pair of section and segment must stay bounded. */
#define MAX_PAIRS (UINT64_C(1) << 24)

/* ------------------------------------------------------------------ header */

static void number_row(struct mw__doc_node *h, const char *label, const char *key, enum mw__type type, uint64_t v,
		       bool exists, const char *text)
{
	if (exists)
		mw__doc_field(h, key, type, v);
	else
		mw__doc_u64(h, key, type, MW_UNKNOWN);
	if (!exists)
		mw__view_line(h, "  %-34s missing", label);
	else if (text && *text)
		mw__view_line(h, type == MW__T_ADDR ? "  %-34s %#llx (%s)" : "  %-34s %llu (%s)", label,
			      (unsigned long long)v, text);
	else
		mw__view_line(h, type == MW__T_ADDR ? "  %-34s %#llx" : "  %-34s %llu", label, (unsigned long long)v);
}

static void ident_rows(const struct mw__elf_view *v, struct mw__doc_node *h)
{
	const struct mw_elf *elf = v->elf;
	char hex[EI_NIDENT * 3 + 1] = "";
	size_t n = elf->head_bytes < EI_NIDENT ? elf->head_bytes : EI_NIDENT;
	const char *osabi = mw__name_osabi(elf->ident[EI_OSABI]);

	for (size_t i = 0; i < n; i++)
		snprintf(hex + 3 * i, 4, "%02x ", elf->ident[i]);
	if (n)
		hex[3 * n - 1] = '\0';
	mw__doc_text(h, "ident", hex);
	mw__doc_u64(h, "class", MW__T_COUNT, elf->lay.is64 ? 64 : 32);
	mw__doc_text(h, "data", elf->lay.big ? "big" : "little");
	mw__doc_u64(h, "osabi", MW__T_COUNT, elf->ident[EI_OSABI]);
	mw__doc_text(h, "osabi_name", osabi);
	mw__doc_u64(h, "abiversion", MW__T_COUNT, elf->ident[EI_ABIVERSION]);
	mw__view_line(h, "  %-34s %s", "Magic", hex);
	mw__view_line(h, "  %-34s ELF%s, 2's complement, %s endian", "Class, data", elf->lay.is64 ? "64" : "32",
		      elf->lay.big ? "big" : "little");
	mw__view_line(h, "  %-34s %s, version %u", "OS/ABI", osabi ? osabi : "unknown", elf->ident[EI_ABIVERSION]);
}

static const char *type_text(const struct mw_elf *elf)
{
	static const char *const texts[] = { "no file type", "relocatable file", "executable file",
					     "shared object or position-independent executable", "core file" };

	return elf->eh.type < MW__COUNT(texts) ? texts[elf->eh.type] : "unknown";
}

/* One line a field of the header, in the order of the file. */
static const struct {
	const char *label, *key;
	enum mw__type type;
} header_rows[MW__COUNT(mw__ehdr_fields)] = {
	{ "Type", "type", MW__T_COUNT }, { "Machine", "machine", MW__T_COUNT }, { "Version", "version", MW__T_COUNT },
	{ "Entry point address", "entry", MW__T_ADDR }, { "Start of program headers", "phoff", MW__T_BYTES },
	{ "Start of section headers", "shoff", MW__T_BYTES }, { "Flags", "flags", MW__T_ADDR },
	{ "Size of this header", "ehsize", MW__T_BYTES }, { "Size of program headers", "phentsize", MW__T_BYTES },
	{ "Number of program headers", "phnum", MW__T_COUNT }, { "Size of section headers", "shentsize", MW__T_BYTES },
	{ "Number of section headers", "shnum", MW__T_COUNT },
	{ "Section header string table index", "shstrndx", MW__T_COUNT },
};

static const char *header_text(const struct mw_elf *elf, size_t field, char *buf)
{
	const struct mw__machine *m = mw__name_machine(elf->eh.machine);

	switch (field) {
	case 0:
		snprintf(buf, MW__NAME_BUF, "%s: %s", mw__name_type(elf->eh.type) ? mw__name_type(elf->eh.type) : "?",
			 type_text(elf));
		return buf;
	case 1:
		return m ? m->text : "unknown";
	case 6:
		return elf->eh.flags ? mw__name_e_flags(elf->eh.flags, elf->eh.machine, buf) : "";
	case 9:
		snprintf(buf, MW__NAME_BUF, "extended: %llu", (unsigned long long)elf->phnum);
		return elf->phnum != elf->eh.phnum ? buf : "";
	case 11:
		snprintf(buf, MW__NAME_BUF, "extended: %llu", (unsigned long long)elf->shnum);
		return elf->shnum != elf->eh.shnum ? buf : "";
	case 12:
		snprintf(buf, MW__NAME_BUF, "extended: %llu", (unsigned long long)elf->shstrndx);
		return elf->shstrndx != elf->eh.shstrndx ? buf : "";
	default:
		return "";
	}
}

void mw__elf_view_header(const struct mw__elf_view *v)
{
	const struct mw_elf *elf = v->elf;
	const struct mw__machine *m = mw__name_machine(elf->eh.machine);
	char buf[MW__NAME_BUF];

	mw__view_heading(v, "ELF header");
	struct mw__doc_node *h = mw__doc_object(v->node, "header");

	ident_rows(v, h);
	for (size_t i = 0; i < MW__COUNT(mw__ehdr_fields); i++) {
		const struct mw__field *f = &mw__ehdr_fields[i];
		uint64_t value = *(const uint64_t *)((const char *)&elf->eh + f->to);
		unsigned end = elf->lay.is64 ? f->off64 + f->size64 : f->off32 + f->size32;

		number_row(h, header_rows[i].label, header_rows[i].key, header_rows[i].type, value,
			   end <= elf->head_bytes, header_text(elf, i, buf));
	}
	mw__doc_text(h, "type_name", mw__name_type(elf->eh.type));
	mw__doc_text(h, "machine_name", m ? m->text : NULL);
	mw__doc_text(h, "machine_tag", m ? m->tag : NULL);
	mw__doc_text(h, "flags_text", mw__name_e_flags(elf->eh.flags, elf->eh.machine, buf));
	mw__doc_field(h, "segments", MW__T_COUNT, elf->phnum);
	mw__doc_field(h, "sections", MW__T_COUNT, elf->shnum);
	mw__doc_field(h, "section_names", MW__T_COUNT, elf->shstrndx);
}

/* ---------------------------------------------------------------- segments */

static const struct mw__col segment_cols[] = {
	{ "index", "#", MW__T_COUNT, 0, "number of the program header" },
	{ "type", "type", MW__T_COUNT, MW__COL_JSON_ONLY, "p_type" },
	{ "type_name", "Type", MW__T_TEXT, 0, "p_type by name" },
	{ "offset", "Offset", MW__T_ADDR, 0, "p_offset" },
	{ "vaddr", "VirtAddr", MW__T_ADDR, 0, "p_vaddr" },
	{ "paddr", "PhysAddr", MW__T_ADDR, MW__COL_HIDDEN, "p_paddr" },
	{ "filesz", "FileSize", MW__T_ADDR, 0, "p_filesz" },
	{ "memsz", "MemSize", MW__T_ADDR, 0, "p_memsz" },
	{ "flags", "flags", MW__T_COUNT, MW__COL_JSON_ONLY, "p_flags" },
	{ "flags_text", "Prot", MW__T_TEXT, 0, "p_flags as letters" },
	{ "align", "Align", MW__T_ADDR, 0, "p_align" },
	{ "sections", "Sections", MW__T_TEXT, MW__COL_WRAP, "sections inside" },
};

struct table_ctx {
	struct mw_elf *elf;
	char name[MW__NAME_BUF], flags[MW__NAME_BUF], link[MW__NAME_BUF];
	char *sections;
	size_t sections_cap;
};

static size_t count_segments(void *ctx) { return ((struct table_ctx *)ctx)->elf->n_ph; }
static size_t count_sections(void *ctx) { return ((struct table_ctx *)ctx)->elf->n_sh; }

/* [off, off + size) starts inside [start, start + len) and does not leave it. */
static bool inside(uint64_t off, uint64_t size, uint64_t start, uint64_t len)
{
	return off >= start && len && off - start <= len - 1 && mw__fits(off - start, size, len);
}

#define FIRST_MBIND 0x6474e555u	/* PT_GNU_MBIND_LO */

/* Whether segment p holds section s: the rule that linkers and readelf use (binutils' documentation of it). */
static bool holds(const struct mw__phdr *p, const struct mw__shdr *s)
{
	bool tls = s->flags & SHF_TLS, alloc = s->flags & SHF_ALLOC, nobits = s->type == SHT_NOBITS;
	bool needs_alloc = p->type == PT_LOAD || p->type == PT_DYNAMIC || p->type == PT_GNU_EH_FRAME ||
			   p->type == PT_GNU_STACK || p->type == PT_GNU_RELRO ||
			   (p->type >= FIRST_MBIND && p->type < FIRST_MBIND + 4096);

	if (s->type == SHT_NULL || p->type == PT_PHDR || (alloc ? 0 : needs_alloc))
		return false;
	if (tls ? p->type != PT_TLS && p->type != PT_GNU_RELRO && p->type != PT_LOAD : p->type == PT_TLS)
		return false;
	if (tls && nobits && p->type != PT_TLS)
		return false;	/* .tbss takes no room outside PT_TLS */
	if (!nobits && !inside(s->off, s->size, p->off, p->filesz))
		return false;
	if (alloc && !inside(s->addr, s->size, p->vaddr, p->memsz))
		return false;
	if ((p->type == PT_DYNAMIC || p->type == PT_NOTE) && !s->size && p->memsz)
		return (nobits || (s->off > p->off && s->off - p->off < p->filesz)) &&
		       (!alloc || (s->addr > p->vaddr && s->addr - p->vaddr < p->memsz));
	return true;
}

static void join_sections(struct table_ctx *c, const struct mw__phdr *p)
{
	size_t n = 0;

	if (!c->sections)
		return;
	c->sections[0] = '\0';
	if (c->elf->n_ph * c->elf->n_sh > MAX_PAIRS)
		return;
	for (size_t i = 1; i < c->elf->n_sh; i++) {
		if (!holds(p, &c->elf->sh[i]))
			continue;
		int len = snprintf(c->sections + n, c->sections_cap - n, "%s%s", n ? " " : "",
				   mw__elf_section_name(c->elf, i));

		if (len < 0 || (size_t)len >= c->sections_cap - n)
			return;
		n += len;
	}
}

const char *mw__view_name(const char *known, uint64_t number, char *buf, size_t size)
{
	if (known)
		return known;
	snprintf(buf, size, "<%#llx>", (unsigned long long)number);
	return buf;
}

static bool segment_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct table_ctx *t = ctx;
	const struct mw__phdr *p = &t->elf->ph[i];

	mw__cell_u64(&c[0], MW__T_COUNT, i);
	mw__cell_field(&c[1], MW__T_COUNT, p->type);
	mw__cell_text(&c[2], mw__view_name(mw__name_segment(p->type, t->elf->eh.machine), p->type, t->name,
					   sizeof(t->name)));
	mw__cell_field(&c[3], MW__T_ADDR, p->off);
	mw__cell_field(&c[4], MW__T_ADDR, p->vaddr);
	mw__cell_field(&c[5], MW__T_ADDR, p->paddr);
	mw__cell_field(&c[6], MW__T_ADDR, p->filesz);
	mw__cell_field(&c[7], MW__T_ADDR, p->memsz);
	mw__cell_field(&c[8], MW__T_COUNT, p->flags);
	mw__cell_text(&c[9], mw__name_segment_flags(p->flags, t->flags));
	mw__cell_field(&c[10], MW__T_ADDR, p->align);
	join_sections(t, p);
	mw__cell_text(&c[11], t->sections ? t->sections : "");
	return true;
}

static struct table_ctx *table_ctx(const struct mw__elf_view *v)
{
	struct table_ctx *t = mw__view_alloc(v, sizeof(*t));

	if (t)
		t->elf = v->elf;
	return t;
}

/* The interpreter, when its path is there. */
static const char *interpreter(const struct mw__elf_view *v)
{
	for (size_t i = 0; i < v->elf->n_ph; i++) {
		const struct mw__phdr *p = &v->elf->ph[i];
		size_t n = p->filesz < 4096 ? p->filesz : 4096;
		char *s = p->type == PT_INTERP && n ? mw__view_alloc(v, n + 1) : NULL;

		if (s && mw__elf_read(v->elf, p->off, s, n))
			return s;
	}
	return NULL;
}

void mw__elf_view_segments(const struct mw__elf_view *v)
{
	struct table_ctx *t = table_ctx(v);
	const char *interp = interpreter(v);

	if (!t)
		return;
	mw__view_heading(v, v->elf->n_ph ? "Program headers" : "There are no program headers.");
	t->sections_cap = v->elf->n_sh > 1 ? 8192 : 1;
	t->sections = mw__view_alloc(v, t->sections_cap);
	mw__doc_stream(v->node, "segments", NULL, segment_cols, MW__COUNT(segment_cols),
		       &(struct mw__stream){ count_segments, NULL, segment_row, t });
	mw__doc_text(v->node, "interpreter", interp);
	if (interp)
		mw__view_line(v->node, "Program interpreter: %s", interp);
}

/* ---------------------------------------------------------------- sections */

static const struct mw__col section_cols[] = {
	{ "index", "#", MW__T_COUNT, 0, "number of the section" },
	{ "name", "Name", MW__T_TEXT, 0, "sh_name" },
	{ "type", "type", MW__T_COUNT, MW__COL_JSON_ONLY, "sh_type" },
	{ "type_name", "Type", MW__T_TEXT, 0, "sh_type by name" },
	{ "addr", "Address", MW__T_ADDR, 0, "sh_addr" },
	{ "offset", "Offset", MW__T_ADDR, 0, "sh_offset" },
	{ "size", "Size", MW__T_ADDR, 0, "sh_size" },
	{ "entsize", "EntSize", MW__T_ADDR, 0, "sh_entsize" },
	{ "flags", "flags", MW__T_ADDR, MW__COL_JSON_ONLY, "sh_flags" },
	{ "flags_text", "Flags", MW__T_TEXT, 0, "sh_flags as letters" },
	{ "link", "Link", MW__T_COUNT, 0, "sh_link" },
	{ "info", "Info", MW__T_COUNT, 0, "sh_info" },
	{ "align", "Align", MW__T_COUNT, 0, "sh_addralign" },
};

static bool section_row(void *ctx, size_t i, struct mw__cell *c)
{
	struct table_ctx *t = ctx;
	const struct mw__shdr *s = &t->elf->sh[i];

	mw__cell_u64(&c[0], MW__T_COUNT, i);
	mw__cell_text(&c[1], mw__elf_section_name(t->elf, i));
	mw__cell_field(&c[2], MW__T_COUNT, s->type);
	mw__cell_text(&c[3], mw__view_name(mw__name_section(s->type, t->elf->eh.machine), s->type, t->name,
					   sizeof(t->name)));
	mw__cell_field(&c[4], MW__T_ADDR, s->addr);
	mw__cell_field(&c[5], MW__T_ADDR, s->off);
	mw__cell_field(&c[6], MW__T_ADDR, s->size);
	mw__cell_field(&c[7], MW__T_ADDR, s->entsize);
	mw__cell_field(&c[8], MW__T_ADDR, s->flags);
	mw__cell_text(&c[9], mw__name_section_flags(s->flags, t->elf->eh.machine, t->flags));
	mw__cell_field(&c[10], MW__T_COUNT, s->link);
	mw__cell_field(&c[11], MW__T_COUNT, s->info);
	mw__cell_field(&c[12], MW__T_COUNT, s->align);
	return true;
}

void mw__elf_view_sections(const struct mw__elf_view *v)
{
	struct table_ctx *t = table_ctx(v);

	if (!t)
		return;
	mw__view_heading(v, v->elf->n_sh ? "Section headers" : "There are no section headers.");
	mw__doc_stream(v->node, "sections", NULL, section_cols, MW__COUNT(section_cols),
		       &(struct mw__stream){ count_sections, NULL, section_row, t });
	if (v->elf->n_sh) {
		const char *key = mw__section_flags_key, *nl = strchr(key, '\n');

		mw__view_line(v->node, "Flags: %.*s", (int)(nl - key), key);
		mw__view_line(v->node, "       %s", nl + 1);
	}
}

static const struct mw__col detail_cols[] = {
	{ "index", "#", MW__T_COUNT, 0, "number of the section" },
	{ "name", "Name", MW__T_TEXT, 0, "sh_name" },
	{ "flags", "Flags", MW__T_ADDR, 0, "sh_flags" },
	{ "flag_names", "Names", MW__T_TEXT, 0, "sh_flags by name" },
};

static bool detail_row(void *ctx, size_t i, struct mw__cell *c)
{
	static const struct { uint64_t bit; const char *name; } bits[] = {
		{ SHF_WRITE, "WRITE" }, { SHF_ALLOC, "ALLOC" }, { SHF_EXECINSTR, "EXEC" }, { SHF_MERGE, "MERGE" },
		{ SHF_STRINGS, "STRINGS" }, { SHF_INFO_LINK, "INFO LINK" }, { SHF_LINK_ORDER, "LINK ORDER" },
		{ SHF_OS_NONCONFORMING, "OS NONCONF" }, { SHF_GROUP, "GROUP" }, { SHF_TLS, "TLS" },
		{ SHF_COMPRESSED, "COMPRESSED" }, { 1u << 21, "RETAIN" }, { SHF_EXCLUDE, "EXCLUDE" },
	};
	struct table_ctx *t = ctx;
	size_t n = 0;

	t->flags[0] = '\0';
	for (size_t k = 0; k < MW__COUNT(bits); k++)
		if (t->elf->sh[i].flags & bits[k].bit)
			n += snprintf(t->flags + n, sizeof(t->flags) - n, "%s%s", n ? ", " : "", bits[k].name);
	mw__cell_u64(&c[0], MW__T_COUNT, i);
	mw__cell_text(&c[1], mw__elf_section_name(t->elf, i));
	mw__cell_field(&c[2], MW__T_ADDR, t->elf->sh[i].flags);
	mw__cell_text(&c[3], t->flags);
	return true;
}

void mw__elf_view_details(const struct mw__elf_view *v)
{
	struct table_ctx *t = table_ctx(v);

	if (!t)
		return;
	mw__view_heading(v, "Section details");
	mw__doc_stream(v->node, "section_details", NULL, detail_cols, MW__COUNT(detail_cols),
		       &(struct mw__stream){ count_sections, NULL, detail_row, t });
}

/* ------------------------------------------------------------------ groups */

static const struct mw__col group_cols[] = {
	{ "index", "#", MW__T_COUNT, 0, "section index of the member" },
	{ "name", "Name", MW__T_TEXT, 0, "section name of the member" },
};

void mw__elf_view_groups(const struct mw__elf_view *v)
{
	struct mw_elf *elf = v->elf;
	struct mw__doc_node *list = mw__doc_list(v->node, "groups");
	size_t found = 0;

	for (size_t i = mw__elf_section_by_type(elf, SHT_GROUP, 1); i < elf->n_sh;
	     i = mw__elf_section_by_type(elf, SHT_GROUP, i + 1)) {
		size_t n = mw__elf_section_bytes(elf, i) / 4;
		const uint32_t *w = mw__elf_chunk(elf, elf->sh[i].off, n * 4, ELF_T_WORD, "section group");

		if (!w)
			continue;
		found++;
		mw__view_heading(v, "%s group section [%zu] %s: %zu sections", w[0] & 1 ? "COMDAT" : "Section", i,
				 mw__elf_section_name(elf, i), n - 1);
		struct mw__doc_node *g = mw__doc_object(list, NULL);

		mw__doc_u64(g, "section", MW__T_COUNT, i);
		mw__doc_text(g, "name", mw__elf_section_name(elf, i));
		mw__doc_u64(g, "flags", MW__T_COUNT, w[0]);
		struct mw__doc_node *t = mw__doc_table(g, "members", NULL, group_cols, MW__COUNT(group_cols));

		for (size_t k = 1; k < n; k++) {
			struct mw__doc_row *r = mw__doc_row(t);

			mw__row_u64(t, r, 0, w[k]);
			mw__row_text(t, r, 1, w[k] < elf->n_sh ? mw__elf_section_name(elf, w[k]) : "<corrupt>");
			if (w[k] >= elf->n_sh)
				mw__elf_diag(elf, MW__ELF_BAD, "group member", w[k], elf->sh[i].off + 4 * k,
					     elf->n_sh, "group section %zu names section %u, of which there are %zu",
					     i, w[k], elf->n_sh);
		}
	}
	if (!found)
		mw__view_heading(v, "There are no section groups.");
}
