/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memwhy doctor as a document: what works here, what not, and how to enable the rest. */
#include "../base/cleanup.h"
#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"
#include "../model/probe.h"
#include "doc.h"

#include <string.h>

static const char *const ability_names[] = {
	[MW__WORKS] = "works", [MW__REFUSED] = "refused", [MW__ABSENT] = "absent", [MW__SETTING] = "setting",
};

static const struct mw__col cols[] = {
	{ "state", "", MW__T_TEXT, 0, "works, refused, absent, or a setting" },
	{ "what", "SOURCE", MW__T_TEXT, MW__COL_WRAP, "file, system call or setting" },
	{ "gives", "GIVES", MW__T_TEXT, MW__COL_WRAP, "what memwhy knows by it" },
	{ "found", "FOUND", MW__T_TEXT, MW__COL_WRAP, "what happened when it was tried" },
	{ "enable", NULL, MW__T_TEXT, MW__COL_JSON_ONLY, NULL },
};

/* What would help, and all that it would help: most sources miss the same right. */
static void add_remedies(struct mw_document *doc, const struct mw__probe *probe)
{
	for (size_t i = 0; i < probe->facts.n; i++) {
		const char *enable = probe->facts.v[i].enable;
		MW_CLEANUP(mw__str_deinit) struct mw__str list = {};
		bool is_told = !enable;

		for (size_t k = 0; k < i && !is_told; k++)
			is_told = probe->facts.v[k].enable && !strcmp(probe->facts.v[k].enable, enable);
		for (size_t k = i; k < probe->facts.n && !is_told; k++)
			if (probe->facts.v[k].enable && !strcmp(probe->facts.v[k].enable, enable))
				mw__str_printf(&list, "%s%s", list.n ? ", " : "", probe->facts.v[k].what);
		doc->failed |= list.failed;
		if (list.n)
			mw__doc_linef(doc->root, NULL, 0, "  %s: %s", list.v, enable);
	}
}

int mw_report_doctor(const struct mw_doctor_opts *opts, struct mw_document **ret, struct mw_err *err)
{
	MW_CLEANUP(mw__probe_deinit) struct mw__probe probe = {};
	struct mw_doctor_opts o = {};
	unsigned missing = 0;

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	int rc = mw__probe_run(&o, &probe, err);

	if (rc < 0)
		return rc;
	struct mw_document *doc = mw__doc_create("memwhy/doctor/1");

	if (!doc)
		return mw__fail_nomem(err, "report");
	mw__doc_u64(doc->root, "pid", MW__T_COUNT, o.pid ? (uint64_t)o.pid : MW_UNKNOWN);
	struct mw__doc_node *t = mw__doc_table(doc->root, "facts", o.pid ? "WHAT CAN BE READ OF THIS PROCESS" :
						"WHAT CAN BE READ OF YOUR OWN PROCESSES", cols, 5);

	for (size_t i = 0; i < probe.facts.n; i++) {
		const struct mw__probe_fact *f = &probe.facts.v[i];
		struct mw__doc_row *row = mw__doc_row(t);

		missing += f->ability == MW__REFUSED || f->ability == MW__ABSENT;
		mw__row_text(t, row, 0, ability_names[f->ability]);
		mw__row_text(t, row, 1, f->what);
		mw__row_text(t, row, 2, f->gives);
		mw__row_text(t, row, 3, f->found);
		mw__row_text(t, row, 4, f->enable);
	}
	mw__doc_u64(doc->root, "missing", MW__T_COUNT, missing);
	mw__doc_line(doc->root, "", NULL, 0);
	if (missing) {
		mw__doc_linef(doc->root, NULL, 0, "%u source%s missing; what they would give is printed as unknown, never as 0.",
			      missing, missing == 1 ? " is" : "s are");
		mw__doc_line(doc->root, "To enable", NULL, 0);
		add_remedies(doc, &probe);
	} else {
		mw__doc_line(doc->root, "Everything works.", NULL, 0);
	}
	return mw__doc_finish(doc, ret, err);
}
