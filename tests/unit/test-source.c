/*
 * test-source.c - one configuration file: whom it may belong to, and what is
 * said of it. That no password of it stays in memory, test-config.c shows.
 *
 * In expected lines "@" stands for the directory of the files.
 */
#include "source.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "scratch.h"

#define TEXT_MAX 8192

struct scene {
	char dir[SCRATCH_PATH_MAX];
	char path[SCRATCH_PATH_MAX + 32];
	struct config_errors errors;
	struct source source;
};

static void scene_make(struct scene *scene)
{
	*scene = (struct scene){ 0 };
	scratch_make(scene->dir);
	(void)snprintf(scene->path, sizeof(scene->path), "%s/test.conf",
		       scene->dir);
	scene->source.path = scene->path;
	scene->source.include_dir = scene->dir;
	scene->source.errors = &scene->errors;
}

static void write_text(const struct scene *scene, const char *text)
{
	scratch_write(scene->path, text, strlen(text));
}

/* The directory as "@", each line with a LF. */
static void expect_lines(struct scene *scene, const char *expected)
{
	char text[TEXT_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < scene->errors.n_lines; i++) {
		const char *line = scene->errors.lines[i];
		const char *hit;

		while ((hit = strstr(line, scene->dir)) != NULL) {
			len += (size_t)snprintf(text + len, TEXT_MAX - len,
						"%.*s@", (int)(hit - line),
						line);
			line = hit + strlen(scene->dir);
		}
		len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s\n",
					line);
	}
	ck_assert_str_eq(text, expected);
	config_errors_done(&scene->errors);
	scene->errors = (struct config_errors){ 0 };
}

static void open_good(struct scene *scene, const char *text)
{
	write_text(scene, text);
	ck_assert_int_eq(source_open(&scene->source), 0);
	expect_lines(scene, "");
}

START_TEST(a_good_file_is_parsed_and_its_mode_kept)
{
	struct scene scene;
	int number = 0;

	scene_make(&scene);
	write_text(&scene, "a = 1;");
	ck_assert_int_eq(chmod(scene.path, 0640), 0);
	ck_assert_int_eq(source_open(&scene.source), 0);
	ck_assert_int_eq(config_lookup_int(&scene.source.tree, "a", &number),
			 CONFIG_TRUE);
	ck_assert_int_eq(number, 1);
	ck_assert_uint_eq(scene.source.mode & 07777, 0640);
	source_close(&scene.source);
	expect_lines(&scene, "");
}
END_TEST

static const struct {
	const char *name;
	const char *text;
	const char *line;
} syntax_cases[] = {
	{ "text without quotes", "\na = pop.example.org;\n",
	  "@/test.conf:2: syntax error, here or just above: "
	  "a missing quote, ';' or brace, or text without quotes?\n" },
	{ "one name twice", "a = 1;\na = 2;\n",
	  "@/test.conf:2: a name is used for the second time in its group\n" },
	{ "an included file that is missing", "@include \"none.conf\"\n",
	  "@/test.conf:1: cannot open the included file; "
	  "its name counts from the main file's directory\n" },
};

START_TEST(a_file_that_does_not_parse_is_named_with_its_line)
{
	struct scene scene;

	scene_make(&scene);
	write_text(&scene, syntax_cases[_i].text);
	ck_assert_msg(source_open(&scene.source) < 0, "%s",
		      syntax_cases[_i].name);
	expect_lines(&scene, syntax_cases[_i].line);
}
END_TEST

START_TEST(an_error_in_an_included_file_names_that_one)
{
	struct scene scene;
	char path[sizeof(scene.path)];

	scene_make(&scene);
	(void)snprintf(path, sizeof(path), "%s/more.conf", scene.dir);
	scratch_write(path, "\n\nb = ;\n", 7);
	write_text(&scene, "a = 1;\n@include \"more.conf\"\n");
	ck_assert_int_lt(source_open(&scene.source), 0);
	expect_lines(
		&scene,
		"@/more.conf:3: syntax error, here or just above: "
		"a missing quote, ';' or brace, or text without quotes?\n");
}
END_TEST

START_TEST(a_file_that_is_missing)
{
	struct scene scene;

	scene_make(&scene);
	ck_assert_int_lt(source_open(&scene.source), 0);
	expect_lines(&scene,
		     "@/test.conf: cannot open: No such file or directory\n");
}
END_TEST

START_TEST(a_directory_is_no_file)
{
	struct scene scene;

	scene_make(&scene);
	ck_assert_int_eq(mkdir(scene.path, 0700), 0);
	ck_assert_int_lt(source_open(&scene.source), 0);
	expect_lines(&scene, "@/test.conf: is not a regular file\n");
}
END_TEST

/* Nobody writes into it: to wait for that would hold up a reload. */
START_TEST(a_fifo_is_refused_at_once)
{
	struct scene scene;

	scene_make(&scene);
	ck_assert_int_eq(mkfifo(scene.path, 0600), 0);
	ck_assert_int_lt(source_open(&scene.source), 0);
	expect_lines(&scene, "@/test.conf: is not a regular file\n");
}
END_TEST

START_TEST(a_file_beyond_all_measure_is_not_read)
{
	struct scene scene;

	scene_make(&scene);
	write_text(&scene, "");
	ck_assert_int_eq(truncate(scene.path, (16 << 20) + 1), 0);
	ck_assert_int_lt(source_open(&scene.source), 0);
	expect_lines(&scene, "@/test.conf: is larger than 16 MiB\n");
}
END_TEST

START_TEST(a_file_that_anybody_can_write_is_refused)
{
	struct scene scene;

	scene_make(&scene);
	write_text(&scene, "a = 1;");
	ck_assert_int_eq(chmod(scene.path, 0602), 0);
	ck_assert_int_lt(source_open(&scene.source), 0);
	expect_lines(&scene,
		     "@/test.conf: has mode 0602: anybody can write it; "
		     "run: chmod o-w @/test.conf\n");
}
END_TEST

#define OTHER_UID 65534

static const struct {
	const char *name;
	bool is_ours; /* or else, when this is false, uid counts */
	uid_t uid;
	mode_t mode;
	bool is_trusted;
} trust_cases[] = {
	{ "ours", true, 0, 0600, true },
	{ "root's", false, 0, 0644, true },
	{ "our group may write it", true, 0, 0660, true },
	{ "anybody may write it", true, 0, 0666, false },
	{ "root's, and anybody may write it", false, 0, 0602, false },
	{ "somebody else's", false, OTHER_UID, 0600, false },
};

static void check_trust(int i)
{
	const char *name = trust_cases[i].name;
	struct config_errors errors = { 0 };
	struct stat st = {
		.st_uid = trust_cases[i].is_ours ? geteuid()
						 : trust_cases[i].uid,
		.st_mode = S_IFREG | trust_cases[i].mode,
	};

	if (geteuid() == OTHER_UID && st.st_uid == OTHER_UID)
		return; /* then it is ours after all */
	ck_assert_msg(source_is_trusted(&errors, "/f", &st) ==
			      trust_cases[i].is_trusted,
		      "%s", name);
	ck_assert_msg(errors.n_lines == !trust_cases[i].is_trusted, "%s", name);
	config_errors_done(&errors);
}

START_TEST(only_files_of_root_and_ours_are_trusted)
{
	check_trust(_i);
	if (geteuid() != 0)
		return;
	/* For others than root, root is somebody else. */
	ck_assert_int_eq(seteuid(OTHER_UID - 1), 0);
	check_trust(_i);
	ck_assert_int_eq(seteuid(0), 0);
	/* The leak checker looks at its own process. */
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}
END_TEST

START_TEST(complaints_are_one_printable_line_each)
{
	struct scene scene;
	char text[2 * CONFIG_LINE_MAX + 1] = "";

	scene_make(&scene);
	source_complain(&scene.errors, "/f", 7, "%s", "a\nb\x1b[2J%s");
	source_complain(&scene.errors, "/f", 0, "no line");
	expect_lines(&scene, "/f:7: a\\nb\\x1b[2J%s\n/f: no line\n");

	memset(text, 'x', sizeof(text) - 1);
	source_complain(&scene.errors, "/f", 0, "%s", text);
	ck_assert_uint_eq(strlen(scene.errors.lines[0]), CONFIG_LINE_MAX - 1);
	ck_assert_str_eq(scene.errors.lines[0] + CONFIG_LINE_MAX - 4, "...");
	config_errors_done(&scene.errors);
}
END_TEST

START_TEST(a_complaint_says_where_the_setting_stands)
{
	struct scene scene;
	const config_setting_t *group;

	scene_make(&scene);
	open_good(&scene, "accounts:\n{\n alice:\n {\n  port = 0;\n };\n};");
	group = config_lookup(&scene.source.tree, "accounts.alice");
	ck_assert_ptr_nonnull(group);
	source_complain_at(&scene.source, group, "host", "is %s", "missing");
	source_complain_at(&scene.source,
			   config_setting_get_member(group, "port"), NULL,
			   "must be from 1");
	source_close(&scene.source);
	expect_lines(&scene,
		     "@/test.conf:3: accounts.alice.host: is missing\n"
		     "@/test.conf:5: accounts.alice.port: must be from 1\n");
}
END_TEST

START_TEST(a_label_that_is_too_long_is_cut)
{
	char text[1024], name[400] = "";
	struct scene scene;
	const config_setting_t *group;

	scene_make(&scene);
	memset(name, 'n', sizeof(name) - 1);
	(void)snprintf(text, sizeof(text), "%s: { %s: { a = 1; }; };", name,
		       name);
	open_good(&scene, text);
	group = config_setting_get_elem(config_root_setting(&scene.source.tree),
					0);
	group = config_setting_get_elem(group, 0);
	source_complain_at(&scene.source, config_setting_get_member(group, "a"),
			   NULL, "bad");
	ck_assert_uint_eq(scene.errors.n_lines, 1);
	ck_assert_ptr_nonnull(strstr(scene.errors.lines[0], "nnn: bad"));
	config_errors_done(&scene.errors);
	source_close(&scene.source);
}
END_TEST

START_TEST(a_password_that_others_can_read_is_told_once_a_file)
{
	struct scene scene;
	const config_setting_t *root;

	scene_make(&scene);
	write_text(&scene, "a = \"x\";\nb = \"y\";");
	ck_assert_int_eq(chmod(scene.path, 0640), 0);
	ck_assert_int_eq(source_open(&scene.source), 0);
	root = config_root_setting(&scene.source.tree);
	source_check_exposure(&scene.source,
			      config_setting_get_member(root, "b"));
	source_check_exposure(&scene.source,
			      config_setting_get_member(root, "a"));
	expect_lines(&scene,
		     "@/test.conf:2: b: @/test.conf holds a password and has "
		     "mode 0640: others could use it; "
		     "run: chmod 600 @/test.conf\n");
	source_close(&scene.source);
}
END_TEST

START_TEST(an_included_file_has_a_mode_and_a_name_of_its_own)
{
	struct scene scene;
	char path[sizeof(scene.path)], file[PATH_MAX];
	const config_setting_t *root;

	scene_make(&scene);
	(void)snprintf(path, sizeof(path), "%s/more.conf", scene.dir);
	scratch_write(path, "b = \"y\";", 8);
	ck_assert_int_eq(chmod(path, 0604), 0);
	open_good(&scene, "a = \"x\";\n@include \"more.conf\"\n");
	root = config_root_setting(&scene.source.tree);
	ck_assert_str_eq(source_file_of(&scene.source,
					config_setting_get_member(root, "a"),
					file, sizeof(file)),
			 scene.path);
	ck_assert_str_eq(source_file_of(&scene.source,
					config_setting_get_member(root, "b"),
					file, sizeof(file)),
			 path);
	source_check_exposure(&scene.source,
			      config_setting_get_member(root, "a"));
	source_check_exposure(&scene.source,
			      config_setting_get_member(root, "b"));
	expect_lines(&scene,
		     "@/more.conf:1: b: @/more.conf holds a password and has "
		     "mode 0604: others could use it; "
		     "run: chmod 600 @/more.conf\n");
	source_close(&scene.source);
}
END_TEST

/* Deeper than the wiping goes, which must neither end nor crash there. */
START_TEST(deep_trees_and_empty_ones_are_closed)
{
	char text[1024] = "";
	struct scene scene;

	scene_make(&scene);
	for (int i = 0; i < 100; i++)
		strcat(text, "a: { ");
	strcat(text, "b = \"x\"; ");
	for (int i = 0; i < 100; i++)
		strcat(text, "}; ");
	open_good(&scene, text);
	source_close(&scene.source);
	open_good(&scene, "");
	source_close(&scene.source);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("source");
	TCase *tcase = tcase_create("source");
	SRunner *runner;
	int n_failed;

	tcase_add_test(tcase, a_good_file_is_parsed_and_its_mode_kept);
	tcase_add_loop_test(tcase,
			    a_file_that_does_not_parse_is_named_with_its_line,
			    0, (int)ARRAY_SIZE(syntax_cases));
	tcase_add_test(tcase, an_error_in_an_included_file_names_that_one);
	tcase_add_test(tcase, a_file_that_is_missing);
	tcase_add_test(tcase, a_directory_is_no_file);
	tcase_add_test(tcase, a_fifo_is_refused_at_once);
	tcase_add_test(tcase, a_file_beyond_all_measure_is_not_read);
	tcase_add_test(tcase, a_file_that_anybody_can_write_is_refused);
	tcase_add_loop_test(tcase, only_files_of_root_and_ours_are_trusted, 0,
			    (int)ARRAY_SIZE(trust_cases));
	tcase_add_test(tcase, complaints_are_one_printable_line_each);
	tcase_add_test(tcase, a_complaint_says_where_the_setting_stands);
	tcase_add_test(tcase, a_label_that_is_too_long_is_cut);
	tcase_add_test(tcase,
		       a_password_that_others_can_read_is_told_once_a_file);
	tcase_add_test(tcase,
		       an_included_file_has_a_mode_and_a_name_of_its_own);
	tcase_add_test(tcase, deep_trees_and_empty_ones_are_closed);
	suite_add_tcase(suite, tcase);

	scratch_begin();
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
