/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memwhy faults as a document: the three numbers that must fit together, the phases, where resident memory
 * came from, and the same faults by section, symbol, caller, thread and mapping. The screen shows the
 * largest rows and a sum of the rest; JSON has all.
 */
#include "../explain/faults.h"
#include "doc.h"

#include "../base/err.h"
#include "../base/size.h"
#include "../base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_ROWS 12

struct view {
	const struct mw_recording *rec;
	struct mw__fault_report *report;
	struct mw__doc_node *root;
	bool all;
};

#define TXT MW__COL_TEXT_ONLY
#define JSO MW__COL_JSON_ONLY

/* "3.25 ms" */
static const char *time_text(uint64_t ns, char buf[static 32])
{
	if (ns == MW_UNKNOWN)
		snprintf(buf, 32, "-");
	else if (ns < 10000000000u)
		snprintf(buf, 32, "%.3f ms", (double)ns / 1e6);
	else
		snprintf(buf, 32, "%.3f s", (double)ns / 1e9);
	return buf;
}

static double share_of(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* --------------------------------------------------------------------- head */

static const char *name_of_last(const struct mw_recording *rec)
{
	const char *name = rec->after ? rec->after->target.comm : NULL;

	for (size_t i = 0; !name && i < rec->moves.n; i++)
		if (rec->moves.v[i].kind == MW__MOVE_EXEC && rec->moves.v[i].pid == rec->pid)
			name = rec->moves.v[i].name;
	return name ? name : "?";
}

static void add_target(struct view *v)
{
	const struct mw_recording *rec = v->rec;
	struct mw__doc_node *o = mw__doc_object(v->root, "target");

	mw__doc_u64(o, "pid", MW__T_COUNT, rec->pid);
	mw__doc_text(o, "name", name_of_last(rec));
	mw__doc_text(o, "command", rec->command);
	mw__doc_bool(o, "attached", rec->is_attached);
	mw__doc_bool(o, "ended", !rec->is_cut);
	mw__doc_text(o, "recorder", rec->by_program ? "program" : "samples");
	mw__doc_u64(o, "started_at_ns", MW__T_COUNT, rec->started_at_ns);
	mw__doc_u64(o, "took_ns", MW__T_COUNT, rec->took_ns);
}

static void add_numbers(struct view *v)
{
	const struct mw_recording *rec = v->rec;
	const struct mw__fault_report *r = v->report;
	char took[32];
	long long off = (long long)(rec->samples + rec->lost - rec->counter);

	mw__doc_u64(v->root, "samples", MW__T_COUNT, rec->samples);
	mw__doc_u64(v->root, "lost", MW__T_COUNT, rec->lost);
	mw__doc_u64(v->root, "counter", MW__T_COUNT, rec->counter);
	mw__doc_u64(v->root, "lost_moves", MW__T_COUNT, rec->lost_moves);
	mw__doc_u64(v->root, "kept", MW__T_COUNT, rec->faults.n);
	mw__doc_u64(v->root, "major", MW__T_COUNT, r->majors);
	mw__doc_u64(v->root, "pages", MW__T_COUNT, r->pages);
	mw__doc_u64(v->root, "taken_by_kernel", MW__T_COUNT, rec->without_kernel ? MW_UNKNOWN : r->kernel);
	mw__doc_u64(v->root, "threads", MW__T_COUNT, r->n_threads);
	mw__doc_u64(v->root, "processes", MW__T_COUNT, r->n_processes);
	mw__doc_linef(v->root, NULL, 0, "%s (pid %u)   %llu faults on %llu pages in %s, %llu major, %u thread%s, %u process%s",
		      name_of_last(rec), rec->pid, (unsigned long long)rec->samples, (unsigned long long)r->pages,
		      time_text(rec->took_ns, took), (unsigned long long)r->majors, r->n_threads, r->n_threads == 1 ? "" : "s",
		      r->n_processes, r->n_processes == 1 ? "" : "es");
	mw__doc_linef(v->root, NULL, 0, "samples %llu + lost %llu = counter %llu%s", (unsigned long long)rec->samples,
		      (unsigned long long)rec->lost, (unsigned long long)rec->counter,
		      off ? "   (does not hold: some are still on their way)" : "");
}

/* ------------------------------------------------------------------- phases */

enum { P_PHASE, P_START, P_START_NS, P_TIME, P_NS, P_FAULTS, P_MAJOR, P_PAGES, P_BYTES, P_SHARE, P_BAR, P_RULE, P_CERTAINTY };
static const struct mw__col phase_cols[] = {
	{ "phase", "PHASE", MW__T_TEXT, 0, "what the program was doing" },
	{ "begins", "BEGINS", MW__T_TEXT, TXT | MW__COL_HIDDEN, "when it began, since the recording did" },
	{ "start_ns", NULL, MW__T_COUNT, JSO, NULL },
	{ "lasts", "LASTS", MW__T_TEXT, TXT, "how long it lasted" },
	{ "ns", NULL, MW__T_COUNT, JSO, NULL },
	{ "faults", "FAULTS", MW__T_COUNT, 0, "page faults in it" },
	{ "major", "MAJOR", MW__T_COUNT, 0, "of these, waited for a disk" },
	{ "pages", "PAGES", MW__T_COUNT, 0, "pages that faulted for the first time" },
	{ "bytes", "BYTES", MW__T_BYTES, TXT, "size of these pages" },
	{ "share", "SHARE", MW__T_SHARE, TXT, "share of all faults" },
	{ "bar", "", MW__T_BAR, 0, "the share, drawn" },
	{ "rule", "KNOWN BY", MW__T_TEXT, MW__COL_HIDDEN, "how the beginning is known" },
	{ "certainty", NULL, MW__T_TEXT, JSO, NULL },
};

static void add_phase(struct view *v, struct mw__doc_node *t, const char *name, const struct mw__fault_phase *p, bool timed)
{
	struct mw__doc_row *row = mw__doc_row(t);
	char buf[32];

	mw__row_text(t, row, P_PHASE, name);
	mw__row_text(t, row, P_START, time_text(p->start_ns, buf));
	mw__row_u64(t, row, P_START_NS, p->start_ns);
	mw__row_text(t, row, P_TIME, time_text(timed ? p->ns : MW_UNKNOWN, buf));
	mw__row_u64(t, row, P_NS, timed ? p->ns : MW_UNKNOWN);
	mw__row_u64(t, row, P_FAULTS, p->faults);
	mw__row_u64(t, row, P_MAJOR, p->majors);
	mw__row_u64(t, row, P_PAGES, p->pages);
	mw__row_u64(t, row, P_BYTES, p->pages * 4096);
	mw__row_share(t, row, P_SHARE, share_of(p->faults, v->rec->faults.n));
	mw__row_share(t, row, P_BAR, share_of(p->faults, v->rec->faults.n));
	mw__row_text(t, row, P_RULE, p->rule);
	mw__row_text(t, row, P_CERTAINTY, p->rule ? mw__certainty_names[p->certainty] : NULL);
}

static void add_phases(struct view *v)
{
	struct mw__doc_node *t = mw__doc_table(v->root, "phases", "WHEN THEY CAME", phase_cols, MW__COUNT(phase_cols));
	const struct mw__fault_phase *p = v->report->phases;

	for (unsigned i = 0; i < MW__N_PHASES; i++)
		if (p[i].start_ns != MW_UNKNOWN)
			add_phase(v, t, mw__fault_phase_name(v->report, i), &p[i], true);
	if (p[MW__N_PHASES].faults)
		add_phase(v, t, mw__fault_phase_name(v->report, MW__N_PHASES), &p[MW__N_PHASES], false);
}

/* ---------------------------------------------------------------- reconcile */

enum { S_ID, S_TEXT, S_BYTES, S_SHARE, S_BAR };
static const struct mw__col source_cols[] = {
	{ "source", NULL, MW__T_TEXT, JSO, NULL },
	{ "text", "WHERE IT CAME FROM", MW__T_TEXT, MW__COL_TRUNC, "what brought these pages" },
	{ "bytes", "BYTES", MW__T_DELTA, 0, "resident at the end" },
	{ "share", "SHARE", MW__T_SHARE, TXT, "share of the resident memory at the end" },
	{ "bar", "", MW__T_BAR, 0, "the share, drawn" },
};

static void add_source(struct mw__doc_node *t, const char *id, const char *text, int64_t bytes, double share,
		       enum mw__row_style style)
{
	struct mw__doc_row *row = mw__doc_row(t);

	if (!row)
		return;
	row->style = style;
	mw__row_text(t, row, S_ID, id);
	mw__row_text(t, row, S_TEXT, text);
	mw__row_delta(t, row, S_BYTES, bytes);
	if (style == MW__ROW_PLAIN) {
		mw__row_share(t, row, S_SHARE, share);
		mw__row_share(t, row, S_BAR, share);
	}
}

/* "RSS grew by X: so much from these", as one sentence and as a table. */
static void add_growth(struct view *v)
{
	const struct mw__fault_report *r = v->report;
	uint64_t vm_rss = v->rec->after ? v->rec->after->status.vm_rss : MW_UNKNOWN;
	uint64_t grown = r->rss_after - mw__min(r->rss_before, r->rss_after), shrunk = mw__sub0(r->rss_before, r->rss_after);
	uint64_t sizes[] = { shrunk ? shrunk : grown, r->rss_before, r->rss_after, r->sources[MW__SOURCE_FAULT],
			     r->sources[MW__SOURCE_AROUND], r->sources[MW__SOURCE_HUGE],
			     r->sources[MW__SOURCE_LOCKED] + r->sources[MW__SOURCE_EXEC] + r->sources[MW__SOURCE_LOST] +
			     r->sources[MW__SOURCE_UNSEEN], r->gone };
	struct mw__doc_node *o = mw__doc_object(v->root, "rss");

	mw__doc_u64(o, "before", MW__T_BYTES, r->rss_before);
	mw__doc_u64(o, "after", MW__T_BYTES, r->rss_after);
	mw__doc_delta(o, "grew_by", (int64_t)(r->rss_after - r->rss_before));
	mw__doc_u64(o, "gone", MW__T_BYTES, r->gone);
	mw__doc_delta(o, "residual", vm_rss == MW_UNKNOWN ? INT64_MIN : (int64_t)(vm_rss - r->rss_after));
	mw__doc_line(v->root, "\002WHERE THE MEMORY CAME FROM", NULL, 0);
	mw__doc_linef(v->root, sizes, 8, "RSS %s by \001, from \001 to \001: recorded faults \001, fault-around \001, huge pages \001, "
		      "without a fault \001; what was resident before and went \001.", shrunk ? "shrank" : "grew");
	struct mw__doc_node *t = mw__doc_table(v->root, "sources", NULL, source_cols, MW__COUNT(source_cols));

	for (unsigned i = 0; i < MW__N_SOURCES; i++)
		add_source(t, mw__source_ids[i], mw__sources[i], (int64_t)r->sources[i], share_of(r->sources[i], r->rss_after),
			   r->sources[i] ? MW__ROW_PLAIN : MW__ROW_JSON);
	add_source(t, NULL, "RSS at the end", (int64_t)r->rss_after, 1, MW__ROW_TOTAL);
	add_source(t, NULL, "residual: VmRSS less these pages",
		   vm_rss == MW_UNKNOWN ? INT64_MIN : (int64_t)(vm_rss - r->rss_after), 0, MW__ROW_TEXT);
}

enum { O_ID, O_TEXT, O_FAULTS, O_SHARE, O_BAR };
static const struct mw__col outcome_cols[] = {
	{ "outcome", NULL, MW__T_TEXT, JSO, NULL },
	{ "text", "WHAT BECAME OF THE FAULTS", MW__T_TEXT, MW__COL_TRUNC, "what the fault led to" },
	{ "faults", "FAULTS", MW__T_COUNT, 0, "number of faults" },
	{ "share", "SHARE", MW__T_SHARE, TXT, "share of all faults" },
	{ "bar", "", MW__T_BAR, 0, "the share, drawn" },
};

static void add_outcomes(struct view *v)
{
	const struct mw__fault_report *r = v->report;
	uint64_t kernel = v->rec->task_faults;

	mw__doc_line(v->root, "", NULL, 0);
	struct mw__doc_node *t = mw__doc_table(v->root, "outcomes", NULL, outcome_cols, MW__COUNT(outcome_cols));

	for (unsigned i = 0; i < MW__N_OUTCOMES; i++) {
		struct mw__doc_row *row = r->outcomes[i] ? mw__doc_row(t) : NULL;

		if (!row)
			continue;
		mw__row_text(t, row, O_ID, mw__outcome_ids[i]);
		mw__row_text(t, row, O_TEXT, mw__outcomes[i]);
		mw__row_u64(t, row, O_FAULTS, r->outcomes[i]);
		mw__row_share(t, row, O_SHARE, share_of(r->outcomes[i], v->rec->faults.n));
		mw__row_share(t, row, O_BAR, share_of(r->outcomes[i], v->rec->faults.n));
	}
	uint64_t unseen = kernel == MW_UNKNOWN || v->rec->counter != v->rec->faults.n ? MW_UNKNOWN :
			  mw__sub0(kernel, r->faults_in_program);

	mw__doc_u64(v->root, "task_faults", MW__T_COUNT, kernel);
	mw__doc_u64(v->root, "faults_unseen", MW__T_COUNT, unseen);
	if (unseen != MW_UNKNOWN)
		mw__doc_linef(v->root, NULL, 0, "The kernel's own count for the process is %llu since %s; %llu of these it settled %s.",
			      (unsigned long long)kernel, v->rec->is_attached ? "the start" : "execve returned", (unsigned long long)unseen,
			      v->rec->without_kernel ? "itself" : "without a fault of the processor");
}

/* ------------------------------------------------------------------- tables */

enum { R_OBJECT, R_SECTION, R_NAME, R_START, R_END, R_TID, R_FIRST, R_FIRST_NS, R_FIRST_TID, R_FIRST_ADDR, R_FAULTS, R_MAJOR,
       R_PAGES, R_BYTES, R_SHARE, R_BAR, R_N };

/* One set of columns for all tables; those that a table does not have are left out of JSON and text. */
#define ROW_COLUMNS(object, section, name, name_key, heading, what, range, tid, first)                                    \
	{                                                                                                                 \
		{ "object", "OBJECT", MW__T_TEXT, (object) | MW__COL_TRUNC, "ELF file, mapped file or kind of memory" },  \
		{ "section", "SECTION", MW__T_TEXT, section, "section of the ELF file" },                                 \
		{ name_key, heading, MW__T_TEXT, (name) | MW__COL_TRUNC, what },                                          \
		{ "start", "START", MW__T_ADDR, range, "first address" },                                                 \
		{ "end", NULL, MW__T_ADDR, (range) ? NONE : JSO, NULL },                                                  \
		{ "tid", "THREAD", MW__T_COUNT, tid, "thread" },                                                          \
		{ "first", "FIRST", MW__T_TEXT, (first) ? NONE : TXT, "when its first fault came" },                      \
		{ "first_ns", NULL, MW__T_COUNT, JSO, NULL },                                                             \
		{ "first_tid", "BY", MW__T_COUNT, (first) | MW__COL_SPARE, "thread of the first fault" },                                   \
		{ "first_addr", "AT", MW__T_ADDR, (first) | MW__COL_SPARE, "address of the first fault" },                                  \
		{ "faults", "FAULTS", MW__T_COUNT, 0, "page faults" },                                                    \
		{ "major", "MAJOR", MW__T_COUNT, MW__COL_OPTIONAL, "of these, waited for a disk" },                       \
		{ "pages", "PAGES", MW__T_COUNT, 0, "pages that faulted for the first time" },                            \
		{ "bytes", "BYTES", MW__T_BYTES, TXT, "size of these pages" },                                            \
		{ "share", "SHARE", MW__T_SHARE, TXT | MW__COL_SPARE, "share of all faults" },                            \
		{ "bar", "", MW__T_BAR, 0, "the share, drawn" },                                                          \
	}
/* In neither output: a column of JSON only whose cells stay empty would be null there, so none is made. */
#define NONE (MW__COL_TEXT_ONLY | MW__COL_JSON_ONLY)

static const struct mw__col section_cols[] = ROW_COLUMNS(0, 0, NONE, "symbol", NULL, NULL, NONE, NONE, NONE);
static const struct mw__col symbol_cols[] = ROW_COLUMNS(0, 0, 0, "symbol", "SYMBOL", "symbol", NONE, NONE, NONE);
static const struct mw__col caller_cols[] = ROW_COLUMNS(0, NONE, 0, "function", "FUNCTION", "symbol", NONE, NONE, NONE);
static const struct mw__col command_cols[] = ROW_COLUMNS(NONE, NONE, 0, "command", "COMMAND", "name of the process", NONE, NONE, NONE);
static const struct mw__col thread_cols[] = ROW_COLUMNS(NONE, NONE, 0, "command", "COMMAND", "name of the process", NONE, 0, NONE);
static const struct mw__col mapping_cols[] = ROW_COLUMNS(0, NONE, NONE, "symbol", NULL, NULL, 0, NONE, 0);

static void add_row(struct view *v, struct mw__doc_node *t, const struct mw__fault_row *f, enum mw__row_style style)
{
	struct mw__doc_row *row = mw__doc_row(t);
	const struct mw__fault *first = f->faults ? &v->rec->faults.v[f->first] : NULL;
	char buf[32];

	if (!row)
		return;
	row->style = style;
	mw__row_text(t, row, R_OBJECT, f->object);
	mw__row_text(t, row, R_SECTION, f->section && *f->section ? f->section : NULL);
	mw__row_text(t, row, R_NAME, f->name && *f->name ? f->name : NULL);
	mw__row_u64(t, row, R_FAULTS, f->faults);
	mw__row_u64(t, row, R_MAJOR, f->majors);
	mw__row_u64(t, row, R_PAGES, f->pages);
	mw__row_u64(t, row, R_BYTES, f->pages * 4096);
	mw__row_share(t, row, R_SHARE, share_of(f->faults, v->rec->faults.n));
	if (style == MW__ROW_TEXT || !first)
		return;
	mw__row_share(t, row, R_BAR, share_of(f->faults, v->rec->faults.n));
	mw__row_u64(t, row, R_START, f->end ? f->start : MW_UNKNOWN);
	mw__row_u64(t, row, R_END, f->end ? f->end : MW_UNKNOWN);
	mw__row_u64(t, row, R_TID, f->key);
	mw__row_text(t, row, R_FIRST, time_text(first->time_ns, buf));
	mw__row_u64(t, row, R_FIRST_NS, first->time_ns);
	mw__row_u64(t, row, R_FIRST_TID, first->tid);
	mw__row_u64(t, row, R_FIRST_ADDR, first->addr);
}

static void add_rows(struct view *v, const char *key, const char *title, const struct mw__col *cols,
		     const struct mw__fault_rows *rows)
{
	struct mw__doc_node *t = mw__doc_table(v->root, key, title, cols, R_N);
	size_t n = rows->v.n, shown = v->all || n <= MAX_ROWS + 1 ? n : MAX_ROWS;
	struct mw__fault_row rest = {};
	char text[64];

	for (size_t i = 0; i < n; i++) {
		const struct mw__fault_row *f = &rows->v.v[i];

		add_row(v, t, f, i < shown ? MW__ROW_PLAIN : MW__ROW_JSON);
		if (i < shown)
			continue;
		rest.faults += f->faults;
		rest.majors += f->majors;
		rest.pages += f->pages;
	}
	snprintf(text, sizeof(text), "%zu more (-a)", n - shown);
	*((cols[R_OBJECT].flags & NONE) == NONE ? &rest.name : &rest.object) = text;
	if (shown < n)
		add_row(v, t, &rest, MW__ROW_TEXT);
}

static void add_tables(struct view *v)
{
	const struct mw__fault_report *r = v->report;

	add_rows(v, "sections", "BY SECTION: WHAT WAS TOUCHED", section_cols, &r->sections);
	add_rows(v, "symbols", "BY SYMBOL: WHAT WAS TOUCHED", symbol_cols, &r->symbols);
	add_rows(v, "callers", "BY CALLER: THE FUNCTION THAT TOUCHED IT", caller_cols, &r->callers);
	if (r->commands.v.n > 1)
		add_rows(v, "by_command", "BY COMMAND: WHAT ITS PROCESSES WERE CALLED THEN", command_cols, &r->commands);
	if (r->threads.v.n > 1)
		add_rows(v, "by_thread", "BY THREAD", thread_cols, &r->threads);
	add_rows(v, "mappings", "MAPPINGS, BY THEIR FIRST FAULT", mapping_cols, &r->mappings);
}

/* --------------------------------------------------------------------- list */

enum { L_TIME, L_NS, L_PHASE, L_PID, L_TID, L_KIND, L_ADDR, L_OBJECT, L_SECTION, L_SYMBOL, L_OFFSET, L_IP, L_CALLER };
static const struct mw__col list_cols[] = {
	{ "time", "TIME", MW__T_TEXT, TXT, "since the recording began" },
	{ "time_ns", NULL, MW__T_COUNT, JSO, NULL },
	{ "phase", "PHASE", MW__T_TEXT, MW__COL_SPARE, "what the program was doing" },
	{ "pid", "PID", MW__T_COUNT, MW__COL_HIDDEN, "process" },
	{ "tid", "THREAD", MW__T_COUNT, 0, "thread" },
	{ "kind", "KIND", MW__T_TEXT, 0, "minor, or major: waited for a disk" },
	{ "address", "ADDRESS", MW__T_ADDR, 0, "address that was touched" },
	{ "object", "OBJECT", MW__T_TEXT, MW__COL_TRUNC, "what is there" },
	{ "section", "SECTION", MW__T_TEXT, MW__COL_SPARE, "section of the ELF file" },
	{ "symbol", "SYMBOL", MW__T_TEXT, MW__COL_TRUNC, "symbol of the ELF file" },
	{ "offset", "OFFSET", MW__T_ADDR, MW__COL_HIDDEN, "from the start of the symbol or object" },
	{ "ip", "IP", MW__T_ADDR, MW__COL_HIDDEN, "instruction that touched it" },
	{ "caller", "BY", MW__T_TEXT, MW__COL_TRUNC, "function of the instruction" },
};

struct listing {
	struct view *v;
	struct mw__doc_node *table;
};

static int list_fault(void *ctx, const struct mw__fault_at *at)
{
	struct listing *l = ctx;
	struct mw__doc_node *t = l->table;
	struct mw__doc_row *row = mw__doc_row(t);
	struct mw__fault_place p, from;
	char buf[32];

	if (!row)
		return -MW_E_NOMEM;
	mw__fault_place(l->v->report, at, at->fault->addr, &p);
	mw__fault_caller(l->v->report, at, at->fault->ip, &from);
	mw__row_text(t, row, L_TIME, time_text(at->fault->time_ns, buf));
	mw__row_u64(t, row, L_NS, at->fault->time_ns);
	mw__row_text(t, row, L_PHASE, mw__fault_phase_name(l->v->report, at->phase));
	mw__row_u64(t, row, L_PID, at->fault->pid);
	mw__row_u64(t, row, L_TID, at->fault->tid);
	mw__row_text(t, row, L_KIND, at->fault->is_major ? "major" : "minor");
	mw__row_u64(t, row, L_ADDR, at->fault->addr);
	mw__row_text(t, row, L_OBJECT, p.object);
	mw__row_text(t, row, L_SECTION, *p.section ? p.section : NULL);
	mw__row_text(t, row, L_SYMBOL, *p.symbol ? p.symbol : NULL);
	mw__row_u64(t, row, L_OFFSET, p.offset);
	mw__row_u64(t, row, L_IP, at->fault->ip);
	mw__row_text(t, row, L_CALLER, *from.symbol ? from.symbol : from.object);
	return 0;
}

static int add_list(struct view *v)
{
	struct listing l = { v, mw__doc_table(v->root, "faults", "EVERY FAULT", list_cols, MW__COUNT(list_cols)) };

	return mw__faults_each(v->report, list_fault, &l);
}

/* -------------------------------------------------------------------- notes */

static const struct mw__col note_cols[] = {
	{ "source", NULL, MW__T_TEXT, JSO, NULL },
	{ "reason", NULL, MW__T_TEXT, JSO, NULL },
	{ "remedy", NULL, MW__T_TEXT, JSO, NULL },
};

static void add_note(struct view *v, struct mw__doc_node *t, const char *source, const char *reason, const char *remedy)
{
	struct mw__doc_row *row = mw__doc_row(t);

	mw__row_text(t, row, 0, source);
	mw__row_text(t, row, 1, reason);
	mw__row_text(t, row, 2, remedy);
	mw__doc_linef(v->root, NULL, 0, "\003- %s: %s%s%s%s", source, reason, remedy ? " (" : "", remedy ? remedy : "",
		      remedy ? ")" : "");
}

static void add_notes(struct view *v)
{
	const struct mw_snapshot *snaps[] = { v->rec->before, v->rec->after };
	struct mw__doc_node *t = mw__doc_table(v->root, "notes", NULL, note_cols, MW__COUNT(note_cols));
	size_t n = v->rec->notes.n;

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; snaps[k] && i < snaps[k]->notes.n; i++)
			n += snaps[k]->notes.v[i].severity == MW__WARNING;
	if (n)
		mw__doc_line(v->root, "\002NOT KNOWN, AND WHY", NULL, 0);
	for (size_t i = 0; i < v->rec->notes.n; i++)
		add_note(v, t, v->rec->notes.v[i].source, v->rec->notes.v[i].reason, v->rec->notes.v[i].remedy);
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; snaps[k] && i < snaps[k]->notes.n; i++)
			if (snaps[k]->notes.v[i].severity == MW__WARNING)
				add_note(v, t, snaps[k]->notes.v[i].source, snaps[k]->notes.v[i].reason, snaps[k]->notes.v[i].remedy);
}

static int fill(struct view *v, const struct mw_faults_report_opts *opts)
{
	int rc = 0;

	add_target(v);
	add_numbers(v);
	mw__doc_line(v->root, "", NULL, 0);
	if (opts->list)
		rc = add_list(v);
	add_phases(v);
	if (v->report->has_pages)
		add_growth(v);
	add_outcomes(v);
	add_tables(v);
	add_notes(v);
	return rc;
}

int mw_report_faults(const struct mw_recording *rec, const struct mw_faults_report_opts *opts, struct mw_document **ret,
		     struct mw_err *err)
{
	struct mw_faults_report_opts o = {};
	struct mw__fault_report report;

	if (opts)
		memcpy(&o, opts, mw__min(opts->size, sizeof(o)));
	if (mw__fault_report_make(rec, &report) < 0)
		return mw__fail_nomem(err, "report");
	struct mw_document *doc = mw__doc_create("memwhy/faults-report/1");

	if (doc) {
		struct view v = { rec, &report, doc->root, o.all };

		doc->failed |= fill(&v, &o) < 0;
	}
	mw__fault_report_deinit(&report);
	return mw__doc_finish(doc, ret, err);
}
