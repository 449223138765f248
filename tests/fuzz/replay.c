/*
 * replay.c - a fuzz target without a fuzzer: runs it once on each file named.
 */
#include <stdio.h>

#include "fuzz.h"

#define INPUT_MAX (1024 * 1024)

static int replay(const char *path)
{
	_cleanup_string_ char *data = malloc(INPUT_MAX);
	FILE *file = fopen(path, "rbe");
	size_t len;

	if (data == NULL || file == NULL) {
		perror(path);
		if (file != NULL)
			(void)fclose(file); /* only read */
		return -1;
	}

	len = fread(data, 1, INPUT_MAX, file);
	(void)fclose(file); /* only read */
	(void)LLVMFuzzerTestOneInput((const uint8_t *)data, len); /* always 0 */
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (replay(argv[i]) < 0)
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
