/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * elf_floor FILE: the headers of an ELF file, by libelf and nothing else. What a program that
 * uses libelf cannot do without: the floor that header views are measured against.
 */
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	Elf *elf = elf_version(EV_CURRENT) != EV_NONE && fd >= 0 ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
	size_t n, names;
	GElf_Ehdr eh;
	GElf_Phdr ph;
	GElf_Shdr sh;

	if (!elf || !gelf_getehdr(elf, &eh) || elf_getphdrnum(elf, &n) || elf_getshdrstrndx(elf, &names))
		return 1;
	printf("%d %d %#lx\n", eh.e_type, eh.e_machine, (unsigned long)eh.e_entry);
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(elf, (int)i, &ph))
			printf("%u %#lx %#lx\n", ph.p_type, (unsigned long)ph.p_vaddr, (unsigned long)ph.p_memsz);
	for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));)
		if (gelf_getshdr(scn, &sh))
			printf("%s %#lx %#lx\n", elf_strptr(elf, names, sh.sh_name), (unsigned long)sh.sh_offset,
			       (unsigned long)sh.sh_size);
	elf_end(elf);
	close(fd);
	return 0;
}
