/*
 * test-state-dir.c - where the journals lie, and whose they are.
 *
 * What depends on being root is tested when the tests run as root.
 */
#include "state_dir.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "scratch.h"

#define OTHER_UID 65534

/*
 * The directories on the way to the journals, and which of them has a name in
 * it that a power cut could take. Shared with the child that is killed.
 */
#define WAY_MAX 4
struct way {
	char paths[WAY_MAX][SCRATCH_PATH_MAX + 32];
	bool is_dirty[WAY_MAX];
};
static struct way *way;
static int n_steps;
static int die_at_step; /* 0: never */

static void take_step(void)
{
	if (++n_steps == die_at_step)
		_exit(7);
}

static bool is_same_file(const struct stat *one, const char *path)
{
	struct stat two;

	return stat(path, &two) == 0 && one->st_dev == two.st_dev &&
	       one->st_ino == two.st_ino;
}

static void set_dirty(const struct stat *st, bool is_dirty)
{
	for (size_t i = 0; way && i < WAY_MAX; i++)
		if (is_same_file(st, way->paths[i]))
			way->is_dirty[i] = is_dirty;
}

int mkdir(const char *path, mode_t mode)
{
	int r;

	take_step();
	r = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
	for (size_t i = 1; way && i < WAY_MAX && r == 0; i++)
		if (strcmp(path, way->paths[i]) == 0)
			way->is_dirty[i - 1] = true;
	return r;
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	struct stat st;
	int r;

	take_step();
	r = (int)syscall(SYS_mkdirat, fd, path, mode);
	if (r == 0 && fstat(fd, &st) == 0)
		set_dirty(&st, true);
	return r;
}

int fsync(int fd)
{
	struct stat st;

	take_step();
	if (fstat(fd, &st) == 0)
		set_dirty(&st, false);
	return 0;
}

int chmod(const char *path, mode_t mode)
{
	take_step();
	return (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}

int fchmodat(int fd, const char *path, mode_t mode, int flags)
{
	(void)flags; /* none are used */
	take_step();
	return (int)syscall(SYS_fchmodat, fd, path, mode);
}

int fchownat(int fd, const char *path, uid_t uid, gid_t gid, int flags)
{
	take_step();
	return (int)syscall(SYS_fchownat, fd, path, uid, gid, flags);
}

struct scene {
	char dir[SCRATCH_PATH_MAX];
	char root[SCRATCH_PATH_MAX + 32];
	char state_dir[SCRATCH_PATH_MAX + 64];
	char user[16];
	struct account account;
};

/* The root is to be below in the scratch directory. */
static void scene_make(struct scene *scene, const char *below)
{
	*scene = (struct scene){ .user = "somebody" };
	scratch_make(scene->dir);
	(void)snprintf(scene->root, sizeof(scene->root), "%s/%s", scene->dir,
		       below);
	(void)snprintf(scene->state_dir, sizeof(scene->state_dir),
		       "%s/mrose@pop.example.org", scene->root);
	scene->account = (struct account){
		.state_dir = scene->state_dir,
		.user = scene->user,
		.uid = geteuid(),
		.gid = getegid(),
	};
}

static void check_dir(const char *path, mode_t mode, uid_t uid)
{
	struct stat st;

	ck_assert_msg(lstat(path, &st) == 0, "%s is missing", path);
	ck_assert_msg(S_ISDIR(st.st_mode), "%s is no directory", path);
	ck_assert_msg((st.st_mode & 07777) == mode, "%s has mode %o", path,
		      st.st_mode & 07777u);
	ck_assert_uint_eq(st.st_uid, uid);
}

static mode_t root_mode(void)
{
	return geteuid() == 0 ? 0711 : 0700;
}

static void make_ok(const struct scene *scene)
{
	struct error err = { 0 };

	ck_assert_msg(state_dir_make(scene->root, &scene->account, &err) == 0,
		      "%s", err.text);
}

/* Neither a loose nor a strict umask changes who may look in. */
START_TEST(what_is_missing_is_made)
{
	static const mode_t umasks[] = { 0, 022, 077 };
	struct scene scene;

	scene_make(&scene, "state");
	(void)umask(umasks[_i]);
	make_ok(&scene);
	make_ok(&scene); /* the second time nothing is to do */
	(void)umask(022);
	check_dir(scene.root, root_mode(), geteuid());
	check_dir(scene.state_dir, 0700, geteuid());
}
END_TEST

START_TEST(missing_parents_of_the_root_are_made)
{
	struct scene scene;
	char parent[SCRATCH_PATH_MAX + 8];

	scene_make(&scene, "a/b/state");
	make_ok(&scene);
	check_dir(scene.root, root_mode(), geteuid());
	check_dir(scene.state_dir, 0700, geteuid());
	(void)snprintf(parent, sizeof(parent), "%s/a", scene.dir);
	check_dir(parent, geteuid() == 0 ? 0755 : 0700, geteuid());
}
END_TEST

START_TEST(a_root_that_is_there_is_left_as_it_is)
{
	struct scene scene;

	scene_make(&scene, "state");
	ck_assert_int_eq(mkdir(scene.root, 0750), 0);
	ck_assert_int_eq(chmod(scene.root, 0750), 0);
	make_ok(&scene);
	check_dir(scene.root, 0750, geteuid());
}
END_TEST

START_TEST(a_file_in_the_place_of_the_directory_is_refused)
{
	struct scene scene;
	struct error err = { 0 };

	scene_make(&scene, "state");
	ck_assert_int_eq(mkdir(scene.root, 0700), 0);
	scratch_write(scene.state_dir, "", 0);
	ck_assert_int_eq(state_dir_make(scene.root, &scene.account, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, scene.state_dir));
}
END_TEST

/* A link would hand over, or fill, a directory of somebody else's choice. */
START_TEST(a_symbolic_link_is_not_followed)
{
	struct scene scene;
	struct error err = { 0 };

	scene_make(&scene, "state");
	ck_assert_int_eq(mkdir(scene.root, 0700), 0);
	ck_assert_int_eq(symlink(scene.dir, scene.state_dir), 0);
	ck_assert_int_eq(state_dir_make(scene.root, &scene.account, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
}
END_TEST

START_TEST(a_file_in_the_place_of_the_root_is_a_local_error)
{
	struct scene scene;
	struct error err = { 0 };

	scene_make(&scene, "state");
	scratch_write(scene.root, "", 0);
	ck_assert_int_eq(state_dir_make(scene.root, &scene.account, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_ptr_nonnull(strstr(err.text, scene.root));
}
END_TEST

START_TEST(another_user_gets_a_directory_of_his_own)
{
	struct scene scene;

	if (geteuid() != 0)
		return;
	scene_make(&scene, "state");
	scene.account.uid = OTHER_UID;
	scene.account.gid = OTHER_UID;
	make_ok(&scene);
	check_dir(scene.root, 0711, 0);
	check_dir(scene.state_dir, 0700, OTHER_UID);
	make_ok(&scene);
	check_dir(scene.state_dir, 0700, OTHER_UID);
}
END_TEST

/* mkdir, then death, then the next start. */
START_TEST(a_directory_that_was_not_yet_handed_over_is)
{
	struct scene scene;

	if (geteuid() != 0)
		return;
	scene_make(&scene, "state");
	make_ok(&scene);
	check_dir(scene.state_dir, 0700, 0);
	scene.account.uid = OTHER_UID;
	scene.account.gid = OTHER_UID;
	make_ok(&scene);
	check_dir(scene.state_dir, 0700, OTHER_UID);
}
END_TEST

START_TEST(a_directory_of_somebody_else_is_refused)
{
	struct scene scene;
	struct error err = { 0 };

	if (geteuid() != 0)
		return;
	scene_make(&scene, "state");
	scene.account.uid = OTHER_UID;
	make_ok(&scene);
	scene.account.uid = OTHER_UID - 1;
	ck_assert_int_eq(state_dir_make(scene.root, &scene.account, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "65534"));
	ck_assert_ptr_nonnull(strstr(err.text, "somebody"));
	check_dir(scene.state_dir, 0700, OTHER_UID);
}
END_TEST

static void way_make(const struct scene *scene)
{
	way = mmap(NULL, sizeof(*way), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(way, MAP_FAILED);
	(void)snprintf(way->paths[0], sizeof(way->paths[0]), "%s", scene->dir);
	(void)snprintf(way->paths[1], sizeof(way->paths[1]), "%s/a",
		       scene->dir);
	(void)snprintf(way->paths[2], sizeof(way->paths[2]), "%s/a/b",
		       scene->dir);
	(void)snprintf(way->paths[3], sizeof(way->paths[3]), "%s/a/b/state",
		       scene->dir);
}

/* False: it got there without dying. */
static bool dies_at_step(const struct scene *scene, int step)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		n_steps = 0;
		die_at_step = step;
		make_ok(scene);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) == 7;
}

/* Every step, for an account of our own and for another user's. */
START_TEST(whatever_a_killed_start_has_made_is_durable_after_the_next)
{
	uid_t uid = _i == 0 ? geteuid() : OTHER_UID;
	bool is_dying = true;
	int step;

	if (_i > 0 && geteuid() != 0)
		return;
	for (step = 1; is_dying; step++) {
		struct scene scene;

		scene_make(&scene, "a/b/state");
		scene.account.uid = uid;
		way_make(&scene);
		is_dying = dies_at_step(&scene, step);
		make_ok(&scene);
		check_dir(scene.root, root_mode(), geteuid());
		check_dir(scene.state_dir, 0700, uid);
		for (size_t i = 0; i < WAY_MAX; i++)
			ck_assert_msg(!way->is_dirty[i],
				      "killed before step %d: %s is not synced",
				      step, way->paths[i]);
	}
	ck_assert_int_gt(step, 12);
}
END_TEST

START_TEST(what_is_there_costs_no_flush)
{
	struct scene scene;

	scene_make(&scene, "state");
	make_ok(&scene);
	n_steps = 0;
	make_ok(&scene);
	ck_assert_int_eq(n_steps, 1); /* the mkdir that finds it there */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state-dir");
	TCase *tcase = tcase_create("state-dir");
	SRunner *runner;
	int n_failed;

	tcase_add_loop_test(tcase, what_is_missing_is_made, 0, 3);
	tcase_add_test(tcase, missing_parents_of_the_root_are_made);
	tcase_add_test(tcase, a_root_that_is_there_is_left_as_it_is);
	tcase_add_test(tcase, a_file_in_the_place_of_the_directory_is_refused);
	tcase_add_test(tcase, a_symbolic_link_is_not_followed);
	tcase_add_test(tcase, a_file_in_the_place_of_the_root_is_a_local_error);
	tcase_add_test(tcase, another_user_gets_a_directory_of_his_own);
	tcase_add_test(tcase, a_directory_that_was_not_yet_handed_over_is);
	tcase_add_test(tcase, a_directory_of_somebody_else_is_refused);
	tcase_add_loop_test(
		tcase,
		whatever_a_killed_start_has_made_is_durable_after_the_next, 0,
		2);
	tcase_add_test(tcase, what_is_there_costs_no_flush);
	suite_add_tcase(suite, tcase);

	scratch_begin();
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
