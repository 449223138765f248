/*
 * test-status.c - the line that "systemctl status" shows, and how often.
 */
#include "status.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "scratch.h"

/* A service manager of our own, and a roster that the test fills in. */
struct scene {
	struct roster_entry rows[4];
	struct roster_entry *entries[4];
	struct roster roster;
	struct status status;
	sd_event *event;
	int fd;
};

static void scene_make(struct scene *scene, size_t n_entries)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char dir[SCRATCH_PATH_MAX];
	int len;

	*scene = (struct scene){ 0 };
	for (size_t i = 0; i < n_entries; i++)
		scene->entries[i] = &scene->rows[i];
	scene->roster.entries = scene->entries;
	scene->roster.n_entries = n_entries;
	ck_assert_int_ge(sd_event_new(&scene->event), 0);
	scene->status.event = scene->event;
	scene->status.roster = &scene->roster;

	scratch_make(dir);
	len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify",
		       dir);
	ck_assert_int_lt(len, (int)sizeof(address.sun_path));
	scene->fd =
		socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(scene->fd, 0);
	ck_assert_int_eq(
		bind(scene->fd, (struct sockaddr *)&address, sizeof(address)),
		0);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
}

static void scene_done(struct scene *scene)
{
	status_done(&scene->status);
	ck_assert_ptr_null(scene->status.timer);
	(void)sd_event_unref(scene->event);
	fd_close(&scene->fd);
}

static void expect(const struct scene *scene, const char *text)
{
	char note[512];
	ssize_t len = recv(scene->fd, note, sizeof(note) - 1, 0);

	note[len > 0 ? len : 0] = '\0';
	ck_assert_str_eq(note, text);
}

static void set_result(struct scene *scene, size_t i, enum error_kind kind)
{
	scene->rows[i].has_result = true;
	scene->rows[i].schedule.last_kind = kind;
}

START_TEST(accounts_are_counted_by_their_last_result)
{
	struct scene scene;

	scene_make(&scene, 4);
	status_send(&scene.status, "READY=1\n");
	expect(&scene, "READY=1\nSTATUS=accounts: 4, ok: 0, failing: 0; "
		       "visits under way: 0");

	set_result(&scene, 0, ERROR_NONE);
	set_result(&scene, 1, ERROR_NONE);
	set_result(&scene, 2, ERROR_BUSY);
	scene.rows[3].schedule.last_kind = ERROR_AUTH; /* of another life */
	scene.roster.n_running = 3;
	status_send(&scene.status, "");
	expect(&scene, "STATUS=accounts: 4, ok: 2, failing: 1; "
		       "visits under way: 3");

	scene.status.is_reload_refused = true;
	status_send(&scene.status, "");
	expect(&scene, "STATUS=accounts: 4, ok: 2, failing: 1; "
		       "visits under way: 3; "
		       "the configuration file has errors");
	scene_done(&scene);
}
END_TEST

START_TEST(the_largest_numbers_fit)
{
	struct scene scene;

	scene_make(&scene, 0);
	scene.roster.n_running = UINT32_MAX;
	scene.status.is_reload_refused = true;
	status_send(&scene.status, "READY=1\n");
	expect(&scene, "READY=1\nSTATUS=accounts: 0, ok: 0, failing: 0; "
		       "visits under way: 4294967295; "
		       "the configuration file has errors");
	scene_done(&scene);
}
END_TEST

static uint64_t due_of(const struct scene *scene)
{
	uint64_t due;

	ck_assert_int_ge(sd_event_source_get_time(scene->status.timer, &due),
			 0);
	return due;
}

/* As if that much time had passed. */
static void make_due(struct scene *scene)
{
	ck_assert_int_ge(sd_event_source_set_time(scene->status.timer, 1), 0);
	ck_assert_int_gt(sd_event_run(scene->event, UINT64_MAX), 0);
}

START_TEST(changes_within_a_second_are_one_line_behind_it)
{
	uint64_t before = now_usec(CLOCK_MONOTONIC);
	struct scene scene;

	scene_make(&scene, 1);
	status_send(&scene.status, "");
	ck_assert_uint_ge(scene.status.sent_usec, before);
	ck_assert_uint_le(scene.status.sent_usec, now_usec(CLOCK_MONOTONIC));
	expect(&scene, "STATUS=accounts: 1, ok: 0, failing: 0; "
		       "visits under way: 0");
	status_changed(&scene.status);
	ck_assert_uint_eq(due_of(&scene),
			  scene.status.sent_usec + USEC_PER_SEC);
	expect(&scene, "");

	/* The last change is the one that is told. */
	set_result(&scene, 0, ERROR_NONE);
	status_changed(&scene.status);
	make_due(&scene);
	expect(&scene, "STATUS=accounts: 1, ok: 1, failing: 0; "
		       "visits under way: 0");
	expect(&scene, "");
	scene_done(&scene);
}
END_TEST

START_TEST(a_change_after_the_line_makes_another_one)
{
	struct scene scene;

	scene_make(&scene, 0);
	status_changed(&scene.status);
	make_due(&scene);
	expect(&scene, "STATUS=accounts: 0, ok: 0, failing: 0; "
		       "visits under way: 0");
	status_changed(&scene.status);
	ck_assert_uint_eq(due_of(&scene),
			  scene.status.sent_usec + USEC_PER_SEC);
	make_due(&scene);
	expect(&scene, "STATUS=accounts: 0, ok: 0, failing: 0; "
		       "visits under way: 0");
	scene_done(&scene);
}
END_TEST

START_TEST(without_a_loop_nobody_is_told_of_changes)
{
	struct scene scene;

	scene_make(&scene, 1);
	scene.status.event = NULL;
	status_changed(&scene.status);
	ck_assert_ptr_null(scene.status.timer);
	expect(&scene, "");
	scene_done(&scene);
}
END_TEST

START_TEST(without_a_service_manager_nothing_happens)
{
	struct scene scene;

	scene_make(&scene, 1);
	ck_assert_int_eq(unsetenv("NOTIFY_SOCKET"), 0);
	status_send(&scene.status, "READY=1\n");
	expect(&scene, "");
	scene_done(&scene);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("status");
	TCase *tcase = tcase_create("status");
	SRunner *runner;
	int n_failed;

	tcase_add_test(tcase, accounts_are_counted_by_their_last_result);
	tcase_add_test(tcase, the_largest_numbers_fit);
	tcase_add_test(tcase, changes_within_a_second_are_one_line_behind_it);
	tcase_add_test(tcase, a_change_after_the_line_makes_another_one);
	tcase_add_test(tcase, without_a_loop_nobody_is_told_of_changes);
	tcase_add_test(tcase, without_a_service_manager_nothing_happens);
	suite_add_tcase(suite, tcase);

	scratch_begin();
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
