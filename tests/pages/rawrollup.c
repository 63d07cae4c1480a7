/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads every smaps_rollup and does nothing with it: the least that a ranking with PSS can cost. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	DIR *dir = opendir("/proc");
	char path[300], buf[8192];

	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/smaps_rollup", e->d_name);
		int fd = open(path, O_RDONLY);

		while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
			;
		if (fd >= 0)
			close(fd);
	}
	return dir ? 0 : 1;
}
