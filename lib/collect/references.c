/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clearing the referenced bits (proc(5), clear_refs): what is referenced again afterwards is the working set. */
#include "../base/cleanup.h"
#include "../base/err.h"
#include "../memwhy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int mw_process_clear_references(pid_t pid, struct mw_err *err)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", pid);
	MW_CLEANUP(mw__closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) == 1)
		return 0;
	return mw__fail(err, errno == ENOENT ? MW_E_NOT_FOUND : errno == EACCES || errno == EPERM ? MW_E_PERM : MW_E_OS, errno,
			"pid %d: clear_refs", pid);
}
