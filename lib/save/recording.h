/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recording as a file, schema memwhy/faults/1: lines of JSON.
 *
 *   {"schema":"memwhy/faults/1","tool_version":...,"pid":...,"samples":...,...}
 *   {"object":{"path":...,...}}, then {"segments":[[type,flags,off,vaddr,filesz,memsz,align],...]},
 *     {"sections":[[name,type,flags,addr,size,off],...]} and {"symbols":[[addr,size,name],...]} of it
 *   {"moves":[[time,kind,pid,tid,parent,start,end,off,object,prot,name],...]}
 *   {"marks":[[time,phase,certainty,rule],...]}
 *   {"chains":[ip,...]}
 *   {"faults":[[time,pid,tid,addr,ip,major,chain,callers],...]}
 *   {"note":[source,reason,remedy]}
 *   {"end":{"records":N,"before":true,"after":true}}
 * and behind the end the snapshots that it names, as mw_snapshot_save() writes them.
 *
 * Times are ns since the recording began. Lists go over several lines. A number that is not known is null.
 */
#ifndef MW_SAVE_RECORDING_H
#define MW_SAVE_RECORDING_H

#include <stddef.h>
#include <stdio.h>

#include "../model/recording.h"

#define MW__FAULTS_SCHEMA "memwhy/faults/"
#define MW__FAULTS_MAJOR "1"
#define MW__FAULTS_BATCH 256		/* elements of a list on one line, at most */

/* The numbers of the head, so that writing and reading cannot differ. */
struct mw__faults_number {
	const char *key;
	size_t off;
	bool is_flag;
};
extern const struct mw__faults_number mw__faults_numbers[];
extern const size_t mw__n_faults_numbers;

/* Read a recording; name is for messages. It is checked and frozen. */
MW_MUST_CHECK int mw__recording_read(FILE *file, const char *name, struct mw_recording **ret, struct mw_err *err);

#endif
