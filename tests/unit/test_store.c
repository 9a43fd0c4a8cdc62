/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/store.h"
#include "shared/cleanup.h"
#include "shared/statefile.h"

struct fixture {
    char dir[64];
    struct store store;
    size_t n_seen;
    char seen[8][64];
    const char *refuse;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err e = ERR_INIT;

    strcpy(f->dir, "/tmp/cleat-test-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(store_open(&f->store, f->dir, &e), 0);
    *state = f;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    store_close(&f->store);
    assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

static int each(void *arg, const json_t *json, struct err *e)
{
    struct fixture *f = arg;
    const char *id = json_string_value(json_object_get(json, "ID"));

    if (f->refuse && strcmp(id, f->refuse) == 0)
        return err_set(e, -EINVAL, "refused");
    strcpy(f->seen[f->n_seen++], id);
    return 0;
}

static int each_old(void *arg, const json_t *json, struct err *e)
{
    struct fixture *f = arg;

    (void)e;
    strcpy(f->seen[f->n_seen++], json_string_value(json_object_get(json, "Id")));
    return 0;
}

static void write_job(struct fixture *f, const char *id)
{
    json_t *json = json_pack("{s:s}", "ID", id);
    struct err e = ERR_INIT;

    assert_int_equal(store_write_job(&f->store, id, json, &e), 0);
    json_decref(json);
}

static void test_jobs_of_any_id_come_back(void **state)
{
    static const char *const ids[] = {"plain", "../up", ".hidden", "a/b c", "x.tmp", "x.damaged"};
    struct fixture *f = *state;
    struct err e = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        write_job(f, ids[i]);
    assert_int_equal(store_load_jobs(&f->store, each, f, &e), 0);
    assert_int_equal(f->n_seen, ARRAY_LEN(ids));
    assert_int_equal(f->store.n_damaged, 0);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        size_t j;

        for (j = 0; j < f->n_seen && strcmp(f->seen[j], ids[i]) != 0; j++)
            ;
        assert_int_not_equal(j, f->n_seen);
    }
}

static void test_ids_that_make_no_name(void **state)
{
    struct fixture *f = *state;
    json_t *json = json_object();
    char id[512] = "";
    struct err e = ERR_INIT;

    assert_int_equal(store_write_job(&f->store, id, json, &e), -EINVAL);
    memset(id, 'x', sizeof(id) - 1);
    assert_int_equal(store_write_job(&f->store, id, json, &e), -ENAMETOOLONG);
    json_decref(json);
}

static void test_damaged_and_refused_jobs_stop_nothing(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    int fd;

    write_job(f, "good");
    write_job(f, "bad");
    write_job(f, "refused");
    fd = openat(f->store.jobs_fd, "bad", O_WRONLY);
    assert_int_equal(pwrite(fd, "#", 1, 30), 1);
    close(fd);
    f->refuse = "refused";
    assert_int_equal(store_load_jobs(&f->store, each, f, &e), 0);
    assert_int_equal(f->n_seen, 1);
    assert_string_equal(f->seen[0], "good");
    assert_int_equal(f->store.n_damaged, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(access(f->store.damaged[i], F_OK), 0);
}

static void test_alloc_records(void **state)
{
    struct fixture *f = *state;
    json_t *json = json_pack("{s:i}", "N", 7), *back = NULL;
    struct err e = ERR_INIT;
    int fd;

    assert_int_equal(store_read_alloc(&f->store, "a1", &back, &e), -ENOENT);
    assert_false(store_has_alloc(&f->store, "a1"));
    assert_int_equal(store_write_alloc(&f->store, "a1", json, &e), 0);
    assert_true(store_has_alloc(&f->store, "a1"));
    assert_int_equal(store_read_alloc(&f->store, "a1", &back, &e), 0);
    assert_true(json_equal(json, back));
    json_decref(json);
    json_decref(back);
    fd = openat(f->store.allocs_fd, "a1", O_WRONLY | O_TRUNC);
    assert_int_equal(store_read_alloc(&f->store, "a1", &back, &e), -ENOENT);
    assert_int_equal(f->store.n_damaged, 0);
    assert_int_equal(write(fd, "CLEAT", 5), 5);
    close(fd);
    assert_int_equal(store_read_alloc(&f->store, "a1", &back, &e), -EBADMSG);
    assert_int_equal(f->store.n_damaged, 1);
}

/* Every kind of record: it is refused as what it is, and what is damaged beside it stays as well.
 */
static void test_records_of_a_newer_release_stop_the_start(void **state)
{
    static const char json[] = "{\"ID\": \"x\"}";
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    json_t *back = NULL;

    assert_int_equal(statefile_write(f->store.allocs_fd, "a1", 2, json, strlen(json), &e), 0);
    assert_int_equal(store_read_alloc(&f->store, "a1", &back, &e), -ENOTSUP);
    assert_int_equal(statefile_write(f->store.jobs_fd, "new", 2, json, strlen(json), &e), 0);
    for (size_t i = 0; i < 2; i++) { /* whichever is listed first */
        int fd = openat(f->store.jobs_fd, i ? "a" : "z", O_WRONLY | O_CREAT, 0600);

        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(store_load_jobs(&f->store, each, f, &e), -ENOTSUP);
    assert_non_null(strstr(e.text, "\"new\" has format 2"));
    assert_int_equal(faccessat(f->store.jobs_fd, "a", F_OK, 0), 0);
    assert_int_equal(faccessat(f->store.jobs_fd, "z", F_OK, 0), 0);
    store_close(&f->store);
    assert_int_equal(store_open(&f->store, f->dir, &e), 0);
    assert_int_equal(statefile_write(f->store.state_fd, "node-id", 2, json, strlen(json), &e), 0);
    store_close(&f->store);
    assert_int_equal(store_open(&f->store, f->dir, &e), -ENOTSUP);
}

/* A made-up future: format 2 calls "ID" so, which format 1 called "Id"; format 3 counts in "N". */
static int step_to_2(enum record_kind kind, json_t *record, struct err *e)
{
    json_t *id = json_object_get(record, "Id");

    (void)kind;
    if (!id)
        return err_set(e, -EBADMSG, "it has no Id");
    return json_object_set(record, "ID", id) || json_object_del(record, "Id");
}

static int step_to_3(enum record_kind kind, json_t *record, struct err *e)
{
    (void)e;
    assert_non_null(json_object_get(record, "ID"));
    return kind == RECORD_ALLOC ? json_object_set_new(record, "N", json_integer(1)) : 0;
}

static record_step *const future_steps[] = {step_to_2, step_to_3};
static const struct record_format future = {future_steps, ARRAY_LEN(future_steps)};

static void write_as(int dir, const char *name, uint32_t version, const char *text)
{
    struct err e = ERR_INIT;

    assert_int_equal(statefile_write(dir, name, version, text, strlen(text), &e), 0);
}

/* Each from the format it has; on disk it changes when it is written, and not before. */
static void test_records_of_older_releases_are_raised(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    json_t *back = NULL;

    write_as(f->store.jobs_fd, "one", 1, "{\"Id\": \"one\"}");
    write_as(f->store.jobs_fd, "two", 2, "{\"ID\": \"two\"}");
    write_as(f->store.jobs_fd, "three", 3, "{\"ID\": \"three\"}");
    write_as(f->store.jobs_fd, "none", 1, "{\"ID\": \"none\"}");
    write_as(f->store.jobs_fd, "zero", 0, "{\"ID\": \"zero\"}");
    write_as(f->store.jobs_fd, "text", 1, "no JSON");
    write_as(f->store.allocs_fd, "a1", 2, "{\"ID\": \"a1\"}");
    f->store.format = &future;
    assert_int_equal(store_load_jobs(&f->store, each, f, &e), 0);
    assert_int_equal(f->n_seen, 3);
    assert_int_equal(f->store.n_damaged, 3); /* none, zero and text */
    assert_int_equal(store_read_alloc(&f->store, "a1", &back, &e), 0);
    assert_int_equal(json_integer_value(json_object_get(back, "N")), 1);

    f->store.format = &record_format; /* the older release again: what it wrote stands there */
    json_decref(back);
    assert_int_equal(store_read_alloc(&f->store, "a1", &back, &e), -ENOTSUP);
    assert_int_equal(store_load_jobs(&f->store, each_old, f, &e), -ENOTSUP);
    assert_non_null(strstr(e.text, "start that one again"));
    assert_int_equal(faccessat(f->store.jobs_fd, "one", F_OK, 0), 0);
    assert_int_equal(unlinkat(f->store.jobs_fd, "two", 0), 0);
    assert_int_equal(unlinkat(f->store.jobs_fd, "three", 0), 0);
    f->n_seen = 0;
    assert_int_equal(store_load_jobs(&f->store, each_old, f, &e), 0);
    assert_int_equal(f->n_seen, 1);

    f->store.format = &future; /* it writes the newest */
    write_job(f, "one");
    f->store.format = &record_format;
    assert_int_equal(store_load_jobs(&f->store, each, f, &e), -ENOTSUP);
    assert_non_null(strstr(e.text, "\"one\" has format 3"));
}

static void test_the_node_id_stays(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char id[37];

    strcpy(id, f->store.node_id);
    assert_int_equal(strlen(id), 36);
    store_close(&f->store);
    assert_int_equal(store_open(&f->store, f->dir, &e), 0);
    assert_string_equal(f->store.node_id, id);
}

static void test_a_second_manager_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    char pid[32];
    int status;

    (void)snprintf(pid, sizeof(pid), "pid %d", getpid());
    if (fork() == 0) {
        struct store other;
        struct err e = ERR_INIT;
        int r = store_open(&other, f->dir, &e);

        _exit(r == -EBUSY && strstr(e.text, pid) && strstr(e.text, f->dir) ? 0 : 1);
    }
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
}

static void test_a_data_dir_that_is_a_file(void **state)
{
    struct fixture *f = *state;
    struct store other;
    struct err e = ERR_INIT;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/file", f->dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(store_open(&other, path, &e), -ENOTDIR);
    assert_non_null(strstr(e.text, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_jobs_of_any_id_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ids_that_make_no_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_and_refused_jobs_stop_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_alloc_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_records_of_a_newer_release_stop_the_start, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_records_of_older_releases_are_raised, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_node_id_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_second_manager_is_refused_by_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_data_dir_that_is_a_file, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
