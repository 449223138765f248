/*
 * source.c - opens, parses and wipes one configuration file.
 *
 * Refuses a file that somebody else could have written. The tree of a file
 * that did not parse is never looked at: libconfig leaves it half filled.
 * What the parser copied is overwritten, since it may hold passwords, and
 * workers are forked from this memory. The caller has M_PERTURB set.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

#define FILE_SIZE_MAX     (16 * 1024 * 1024)
#define LABEL_MAX         256
#define INCLUDE_DEPTH_MAX 10 /* libconfig's own */
#define WIPE_DEPTH_MAX    64

/* glibc's cache of freed small chunks, see wipe_cached_chunks(). */
#define CACHE_CHUNK_MIN  24
#define CACHE_CHUNK_MAX  1032
#define CACHE_CHUNK_STEP 16
#define CACHE_DEPTH      7
#define CACHE_CHUNKS                                                    \
	(((CACHE_CHUNK_MAX - CACHE_CHUNK_MIN) / CACHE_CHUNK_STEP + 1) * \
	 CACHE_DEPTH)

static void file_close(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file); /* it was only read */
}

static void add_line(struct config_errors *errors, const char *text)
{
	char clean[CONFIG_LINE_MAX];
	char **lines;
	char *line;

	line = strdup(text_clean(clean, sizeof(clean), text, strlen(text)));
	lines = reallocarray(errors->lines, errors->n_lines + 1,
			     sizeof(*lines));
	if (lines != NULL)
		errors->lines = lines;
	if (line == NULL || lines == NULL) {
		errors->is_incomplete = true;
		free(line);
		return;
	}
	errors->lines[errors->n_lines++] = line;
}

static void add_line_about(struct config_errors *errors, const char *file,
			   unsigned line, const char *text)
{
	_cleanup_string_ char *whole = NULL;
	char number[16] = "";

	if (line != 0)
		(void)snprintf(number, sizeof(number), ":%u", line);
	if (text == NULL ||
	    asprintf(&whole, "%s%s: %s", file, number, text) < 0)
		whole = NULL;
	add_line(errors, whole != NULL ? whole : "out of memory");
}

void source_complain(struct config_errors *errors, const char *file,
		     unsigned line, const char *fmt, ...)
{
	_cleanup_string_ char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	add_line_about(errors, file, line, text);
}

/*
 * libconfig 1.5 names an included file as the @include did, later versions
 * with the directory before it, and none the file that we opened ourselves.
 */
static const char *full_name(const struct source *source, const char *name,
			     char *dst, size_t cap)
{
	if (name == NULL)
		name = source->path;
	if (name[0] == '/')
		(void)snprintf(dst, cap, "%s", name);
	else
		(void)snprintf(dst, cap, "%s/%s", source->include_dir, name);
	return dst;
}

const char *source_file_of(const struct source *source,
			   const config_setting_t *setting, char *dst,
			   size_t cap)
{
	return full_name(source, config_setting_source_file(setting), dst, cap);
}

/* "accounts.NAME.SETTING", cut when it does not fit. Returns its length. */
static size_t write_label(const config_setting_t *setting, char *dst,
			  size_t cap)
{
	const config_setting_t *parent = config_setting_parent(setting);
	size_t len;

	if (parent == NULL)
		return 0;
	len = write_label(parent, dst, cap);
	len += (size_t)snprintf(dst + len, cap - len, "%s%s",
				len > 0 ? "." : "",
				config_setting_name(setting));
	return MIN(len, cap - 1);
}

void source_complain_at(struct source *source, const config_setting_t *at,
			const char *name, const char *fmt, ...)
{
	_cleanup_string_ char *text = NULL;
	_cleanup_string_ char *labelled = NULL;
	char label[LABEL_MAX] = "";
	char path[PATH_MAX];
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);

	(void)write_label(at, label, sizeof(label));
	if (text == NULL ||
	    asprintf(&labelled, "%s%s%s: %s", label, name != NULL ? "." : "",
		     name != NULL ? name : "", text) < 0)
		labelled = NULL;
	add_line_about(source->errors,
		       source_file_of(source, at, path, sizeof(path)),
		       config_setting_source_line(at), labelled);
}

bool source_is_trusted(struct config_errors *errors, const char *path,
		       const struct stat *st)
{
	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		source_complain(
			errors, path, 0,
			"belongs to user %u, must belong to user %u or root",
			st->st_uid, geteuid());
		return false;
	}
	if ((st->st_mode & S_IWOTH) != 0) {
		source_complain(
			errors, path, 0,
			"has mode %04o: anybody can write it; run: chmod o-w %s",
			st->st_mode & 07777, path);
		return false;
	}
	return true;
}

static bool is_acceptable(struct source *source, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		source_complain(source->errors, source->path, 0,
				"cannot open: %s", strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		source_complain(source->errors, source->path, 0,
				"is not a regular file");
		return false;
	}
	if (st.st_size > FILE_SIZE_MAX) {
		source_complain(source->errors, source->path, 0,
				"is larger than %d MiB", FILE_SIZE_MAX >> 20);
		return false;
	}
	source->mode = st.st_mode;
	return source_is_trusted(source->errors, source->path, &st);
}

static FILE *open_file(struct source *source)
{
	_cleanup_fd_ int fd = -1;
	FILE *file = NULL;

	/* O_NONBLOCK: a FIFO must not hold up a reload. */
	fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd >= 0 && !is_acceptable(source, fd))
		return NULL;
	if (fd >= 0)
		file = fdopen(fd, "r");
	if (file == NULL) {
		source_complain(source->errors, source->path, 0,
				"cannot open: %s", strerror(errno));
		return NULL;
	}
	(void)TAKE_FD(fd); /* the stream's now */
	return file;
}

/* In place, to the closing quote, as libconfig's scanner does it. */
static void unquote(char *name)
{
	char *to = name;

	for (const char *from = name; *from != '\0' && *from != '"'; from++) {
		if (*from == '\\' && from[1] != '\\' && from[1] != '"')
			continue; /* lost */
		if (*from == '\\')
			from++;
		*to++ = *from;
	}
	*to = '\0';
}

/* The name in the line, which is spoilt by it, or NULL. */
static char *included_name(char *line)
{
	static const char directive[] = "@include";
	char *at = line + strspn(line, " \t");
	size_t n_blanks;

	if (strncmp(at, directive, strlen(directive)) != 0)
		return NULL;
	at += strlen(directive);
	n_blanks = strspn(at, " \t");
	if (n_blanks == 0 || at[n_blanks] != '"')
		return NULL;
	at += n_blanks + 1;
	unquote(at);
	return at;
}

/* One file that is read, perhaps for the second time. */
struct reading {
	const char *path;
	FILE *file;
	unsigned depth;
};

static bool check_includes(struct source *source,
			   const struct reading *reading);

static bool check_included(struct source *source, const struct reading *by,
			   unsigned line, const char *path)
{
	_cleanup_(file_close) FILE *file = NULL;
	_cleanup_fd_ int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return true; /* libconfig says so */
	if (!S_ISREG(st.st_mode)) {
		source_complain(source->errors, by->path, line,
				"includes %s, which is not a regular file",
				path);
		return false;
	}
	if (!source_is_trusted(source->errors, path, &st))
		return false;
	file = fdopen(fd, "r");
	if (file == NULL)
		return true;
	(void)TAKE_FD(fd); /* the stream's now */
	return check_includes(source,
			      &(struct reading){ path, file, by->depth + 1 });
}

/* libconfig 1.5 puts the directory before every name, later versions not always. */
static bool check_name(struct source *source, const struct reading *by,
		       unsigned line, const char *name)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", source->include_dir, name);
	return check_included(source, by, line, path) &&
	       (name[0] != '/' || check_included(source, by, line, name));
}

/*
 * libconfig's scanner ends the process when it cannot read what it could open,
 * a directory say, and waits for the writer of a FIFO. What is included deeper
 * than it goes along it refuses itself.
 */
static bool check_includes(struct source *source, const struct reading *reading)
{
	char *text = NULL;
	size_t cap = 0;
	bool is_sound = true;

	for (unsigned line = 1;
	     is_sound && reading->depth <= INCLUDE_DEPTH_MAX &&
	     getline(&text, &cap, reading->file) > 0;
	     line++) {
		const char *name = included_name(text);

		if (name != NULL)
			is_sound = check_name(source, reading, line, name);
	}
	if (text != NULL)
		explicit_bzero(text, cap);
	free(text);
	return is_sound;
}

static void complain_parse(struct source *source)
{
	static const struct {
		const char *theirs;
		const char *ours;
	} texts[] = {
		{ "syntax error",
		  "syntax error, here or just above: "
		  "a missing quote, ';' or brace, or text without quotes?" },
		{ "duplicate setting name",
		  "a name is used for the second time in its group" },
		{ "cannot open include file",
		  "cannot open the included file; "
		  "its name counts from the main file's directory" },
	};
	const char *text = config_error_text(&source->tree);
	int line = config_error_line(&source->tree);
	char path[PATH_MAX];

	if (text == NULL)
		text = "cannot be read";
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(text, texts[i].theirs) == 0)
			text = texts[i].ours;
	source_complain(source->errors,
			full_name(source, config_error_file(&source->tree),
				  path, sizeof(path)),
			(unsigned)MAX(line, 1), "%s", text);
}

/*
 * With M_PERTURB glibc overwrites freed memory, but not the small chunks that
 * go into the thread's cache: a freed string of 36 bytes kept its tail (glibc
 * 2.36). Those are at most seven of each size, so that asking for as many
 * gets them all.
 */
static void wipe_cached_chunks(void)
{
	void *chunks[CACHE_CHUNKS];
	size_t n_chunks = 0;

	for (size_t size = CACHE_CHUNK_MIN; size <= CACHE_CHUNK_MAX;
	     size += CACHE_CHUNK_STEP) {
		for (unsigned i = 0; i < CACHE_DEPTH; i++) {
			chunks[n_chunks] = malloc(size);
			if (chunks[n_chunks] != NULL)
				explicit_bzero(chunks[n_chunks++], size);
		}
	}
	while (n_chunks > 0)
		free(chunks[--n_chunks]);
}

static void wipe_setting(const config_setting_t *setting, unsigned depth)
{
	int n = config_setting_is_aggregate(setting)
			? config_setting_length(setting)
			: 0;

	if (config_setting_type(setting) == CONFIG_TYPE_STRING) {
		/* It is libconfig's own copy on the heap, about to be freed. */
		char *text =
			(char *)(uintptr_t)config_setting_get_string(setting);

		if (text != NULL)
			explicit_bzero(text, strlen(text));
	}
	if (depth == WIPE_DEPTH_MAX)
		return; /* no setting of ours; M_PERTURB sees to it */
	for (int i = 0; i < n; i++)
		wipe_setting(config_setting_get_elem(setting, (unsigned)i),
			     depth + 1);
}

int source_open(struct source *source)
{
	_cleanup_(file_close) FILE *file = open_file(source);
	bool is_parsed;

	if (file == NULL)
		return -1;
	if (!check_includes(source, &(struct reading){ source->path, file, 0 }))
		return -1;
	rewind(file);
	config_init(&source->tree);
	config_set_include_dir(&source->tree, source->include_dir);
	is_parsed = config_read(&source->tree, file) == CONFIG_TRUE;
	if (!is_parsed) {
		complain_parse(source);
		config_destroy(&source->tree);
	}

	/* Before other strings are put into chunks that held a password. */
	wipe_cached_chunks();
	return is_parsed ? 0 : -1;
}

void source_close(struct source *source)
{
	wipe_setting(config_root_setting(&source->tree), 0);
	config_destroy(&source->tree);
	wipe_cached_chunks();
	string_free(&source->exposed_file);
}

/* An included file has a mode of its own; one that is gone is taken for open. */
static mode_t mode_of(const struct source *source,
		      const config_setting_t *setting, const char *file)
{
	struct stat st;

	if (config_setting_source_file(setting) == NULL)
		return source->mode;
	return stat(file, &st) == 0 ? st.st_mode : S_IRWXO;
}

void source_check_exposure(struct source *source,
			   const config_setting_t *setting)
{
	char path[PATH_MAX];
	const char *file = source_file_of(source, setting, path, sizeof(path));
	mode_t mode = mode_of(source, setting, file);

	if ((mode & 077) == 0 || (source->exposed_file != NULL &&
				  strcmp(source->exposed_file, file) == 0))
		return;
	source_complain_at(source, setting, NULL,
			   "%s holds a password and has mode %04o: "
			   "others could use it; run: chmod 600 %s",
			   file, mode & 07777, file);
	string_free(&source->exposed_file);
	source->exposed_file = strdup(file); /* NULL: it is said once more */
}
