/*-------------------------------------------------------------------------
 *
 * standalone.c
 *	  A main() for a fuzz target without libFuzzer: runs it on the files that
 *	  are its arguments, so that the kept corpus is a test with any compiler.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#undef printf
#undef fprintf

extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

/* Run one file; false if it cannot be read. */
static bool
run_file(const char *name)
{
	FILE	   *f = fopen(name, "rb");
	long		size = -1;
	uint8	   *data;
	bool		good;

	if (f == NULL)
		return false;
	if (fseek(f, 0, SEEK_END) == 0)
		size = ftell(f);
	if (size < 0 || fseek(f, 0, SEEK_SET) != 0)
	{
		fclose(f);
		return false;
	}
	/* of exactly this size, to see reads beyond it */
	data = malloc(Max(size, 1));
	good = data != NULL && fread(data, 1, (size_t) size, f) == (size_t) size;
	fclose(f);
	if (good)
		(void) LLVMFuzzerTestOneInput(data, (size_t) size);
	free(data);
	return good;
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		if (!run_file(argv[i]))
		{
			fprintf(stderr, "cannot read %s\n", argv[i]);
			return 1;
		}
	}
	printf("%d inputs\n", argc - 1);
	return argc > 1 ? 0 : 1;
}
