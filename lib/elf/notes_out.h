/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the decoders of notes share: reading a descriptor with checked offsets, and saying what is in it. */
#ifndef MW_ELF_NOTES_OUT_H
#define MW_ELF_NOTES_OUT_H

#include <stdarg.h>

#include "notes.h"

struct mw__note_out {
	const struct mw_elf *elf;
	const struct mw__elfnote *n;
	mw__note_add *add;
	void *ctx;
};

void mw__note_vsay(const struct mw__note_out *o, const char *key, const char *fmt, va_list ap);
/* A number of the descriptor; 0 outside. */
uint64_t mw__note_num(const struct mw__note_out *o, uint64_t at, unsigned size);
unsigned mw__note_word_size(const struct mw__note_out *o);
static inline uint64_t mw__note_word(const struct mw__note_out *o, uint64_t at)
{
	return mw__note_num(o, at, mw__note_word_size(o));
}
/* Text of at most max bytes at an offset, "" outside. */
void mw__note_text(const struct mw__note_out *o, uint64_t at, uint64_t max, const char *key);
/* The descriptor as hex, as far as it is shown. */
void mw__note_hex(const struct mw__note_out *o, const char *key);

/* notes_core.c */
void mw__core_prstatus(const struct mw__note_out *o);
void mw__core_prpsinfo(const struct mw__note_out *o);
void mw__core_auxv(const struct mw__note_out *o);
void mw__core_files(const struct mw__note_out *o);
void mw__core_siginfo(const struct mw__note_out *o);
void mw__core_fpregs(const struct mw__note_out *o);
void mw__core_fxsave(const struct mw__note_out *o);
void mw__core_xstate(const struct mw__note_out *o);
void mw__core_layout(const struct mw__note_out *o);
void mw__core_tls(const struct mw__note_out *o);

#endif
