/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verdict and the security properties. */
#include "../elf/check.h"

#include <stdio.h>

#include "elf_view.h"

static const char *const answers[] = { "no", "yes", "unknown" };

static void answer(struct mw__doc_node *o, const char *key, const char *label, enum mw__answer a)
{
	mw__doc_text(o, key, answers[a]);
	mw__view_line(o, "  %-22s %s", label, answers[a]);
}

static void text(struct mw__doc_node *o, const char *key, const char *label, const char *value)
{
	mw__doc_text(o, key, value);
	mw__view_line(o, "  %-22s %s", label, value ? value : "none");
}

static void fortify(struct mw__doc_node *o, const struct mw__security *s)
{
	const char *word = s->fortified == MW_UNKNOWN ? "unknown" : s->fortified ? "yes" :
			   s->unfortified ? "no" : "unknown";

	mw__doc_text(o, "fortify", word);
	mw__doc_u64(o, "fortified_functions", MW__T_COUNT, s->fortified);
	mw__doc_u64(o, "unfortified_functions", MW__T_COUNT, s->unfortified);
	if (s->fortified == MW_UNKNOWN)
		mw__view_line(o, "  %-22s unknown", "FORTIFY_SOURCE");
	else
		mw__view_line(o, "  %-22s %s (%llu checked functions imported, %llu plain ones)", "FORTIFY_SOURCE", word,
			      (unsigned long long)s->fortified, (unsigned long long)s->unfortified);
}

void mw__elf_view_check(const struct mw__elf_view *v)
{
	struct mw__check c;

	mw__elf_check(v->elf, v->opts->page_size, &c);
	mw__view_heading(v, "Verdict on x86-64 Linux: %s%s%s", mw__verdicts[c.verdict], *c.reason ? ": " : "", c.reason);
	struct mw__doc_node *o = mw__doc_object(v->node, "check");

	mw__doc_text(o, "verdict", mw__verdicts[c.verdict]);
	mw__doc_text(o, "reason", c.reason);
	mw__doc_text(o, "dlopen", c.dlopen);
	mw__doc_text(o, "dlopen_reason", c.dlopen_reason);
	if (v->elf->eh.type == ET_DYN || v->elf->eh.type == ET_EXEC)
		mw__view_line(o, "As a library, by dlopen(): %s%s%s", c.dlopen, *c.dlopen_reason ? ": " : "", c.dlopen_reason);
	struct mw__doc_node *s = mw__doc_object(o, "security");
	mw__view_line(s, "\002Hardening");
	text(s, "pie", "Position-independent", c.sec.pie);
	answer(s, "static", "Static", c.sec.is_static);
	text(s, "relro", "RELRO", c.sec.relro);
	text(s, "stack", "Stack", c.sec.stack);
	answer(s, "canary", "Stack canary", c.sec.canary);
	fortify(s, &c.sec);
	answer(s, "ibt", "CET IBT", c.sec.ibt);
	answer(s, "shstk", "CET SHSTK", c.sec.shstk);
	text(s, "rpath", "RPATH", c.sec.rpath);
	text(s, "runpath", "RUNPATH", c.sec.runpath);
	answer(s, "textrel", "Text relocations", c.sec.textrel);
	answer(s, "writable_code", "Writable code", c.sec.writable_code);
}
