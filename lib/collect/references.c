/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clearing the referenced bits (proc(5), clear_refs): what is referenced again afterwards is the working set. */
#include "../base/cleanup.h"
#include "../base/err.h"
#include "../proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int mw_process_clear_references(pid_t pid, struct mw_err *err)
{
	MW_CLEANUP(mw__proc_close) struct mw__proc proc;
	int rc = mw__proc_open(&proc, NULL, pid, err);

	if (rc < 0)
		return rc;
	MW_CLEANUP(mw__closep) int fd = openat(proc.pid_fd, "clear_refs", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) == 1)
		return 0;
	rc = mw__fail(err, errno == ENOENT ? MW_E_NOT_FOUND : errno == EACCES || errno == EPERM ? MW_E_PERM : MW_E_OS, errno,
		      "pid %d: clear_refs: write", pid);
	if (rc == -MW_E_PERM)
		mw__hint(err, "run memwhy as the owner of the process or as root");
	return rc;
}
