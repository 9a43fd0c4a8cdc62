/* SPDX-License-Identifier: MIT
 *
 * /v1/client/allocation/:id/exec: a WebSocket to a command inside a running task. The command is a
 * child process, `cleat-executor exec` (shared/proto/exec.h); here its pipes are tied to messages
 * (shared/execframe.h).
 *
 * Life: the request starts the child; it ends when the child is dead, everything it wrote is sent
 * and the exit is told, or when the client goes away: then its pipes are closed, upon which the
 * child kills the command, and this struct stays until the child has been waited for.
 *
 * Bounds: output is read from a pipe only when the client has taken what was read before; a message
 * of input is taken only when the one before is in the pipe. So whoever is slow stops the other
 * side, and nothing is held here but one message each way. EXECS_MAX commands at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/api/context.h"
#include "manager/api/handlers.h"
#include "shared/cleanup.h"
#include "shared/execframe.h"

enum {
    EXECS_MAX = 64,
    OUTPUTS = 2, /* EXEC_STDOUT and EXEC_STDERR, less one */
};

struct exec_output {
    ev_io io; /* fd -1 after the end */
    int left; /* once the command is dead: what is in the pipe that it may have written */
};

struct exec {
    struct channel channel; /* first */
    struct api *api;
    struct request *request; /* NULL: the client is gone */
    ev_io in;                /* active while there is input to write */
    struct exec_output outputs[OUTPUTS];
    unsigned int turn; /* which output is asked first */
    int control;
    ev_io gone; /* the child's pidfd */
    bool dead, told;
    int exit_code;
    char *input; /* of the newest message */
    size_t input_size, input_at;
    bool input_ends; /* after that */
    struct exec *next, **link;
};

static void stop(struct exec *x, ev_io *io)
{
    ev_io_stop(x->api->loop, io);
    close_fd(&io->fd);
}

static void exec_free(struct exec *x)
{
    stop(x, &x->in);
    for (int i = 0; i < OUTPUTS; i++)
        stop(x, &x->outputs[i].io);
    stop(x, &x->gone);
    close_fd(&x->control);
    free(x->input);
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    x->api->n_execs--;
    free(x);
}

void exec_forget_all(struct api *api)
{
    while (api->execs)
        exec_free(api->execs);
}

/* The client is gone, or has been told everything. */
static void on_free(struct source *source)
{
    struct exec *x = container_of(source, struct exec, channel.source);

    x->request = NULL;
    if (x->dead) {
        exec_free(x);
        return;
    }
    stop(x, &x->in);
    for (int i = 0; i < OUTPUTS; i++)
        stop(x, &x->outputs[i].io);
    close_fd(&x->control); /* the child kills the command and ends */
}

static void on_gone(struct ev_loop *loop, ev_io *w, int revents)
{
    struct exec *x = container_of(w, struct exec, gone);
    siginfo_t info = {0};

    (void)loop;
    (void)revents;
    if (waitid(P_PIDFD, (id_t)w->fd, &info, WEXITED | WNOHANG) == 0 && info.si_pid)
        x->exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    x->dead = true;
    stop(x, w);
    for (int i = 0; i < OUTPUTS; i++)
        if (x->outputs[i].io.fd >= 0 && ioctl(x->outputs[i].io.fd, FIONREAD, &x->outputs[i].left))
            x->outputs[i].left = 0;
    if (x->request)
        request_wake(x->request);
    else
        exec_free(x);
}

/* Output */

static void on_output(struct ev_loop *loop, ev_io *w, int revents)
{
    struct exec *x = w->data;

    (void)revents;
    ev_io_stop(loop, w);
    request_wake(x->request);
}

/* Fills in the next message of one output; false: there is none now. What children of a dead
 * command write on is not waited for. */
static bool take_output(struct exec *x, struct exec_output *output, struct exec_data *ret_data)
{
    static char data[EXEC_FRAME_DATA_MAX];
    size_t max = sizeof(data);
    ssize_t n = 0;

    if (output->io.fd < 0)
        return false;
    if (x->dead && output->left < (int)max)
        max = (size_t)output->left;
    if (max)
        n = read(output->io.fd, data, max);
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && !x->dead) {
        ev_io_start(x->api->loop, &output->io);
        return false;
    }
    if (n > 0) {
        output->left -= x->dead ? (int)n : 0;
        *ret_data = (struct exec_data){.data = data, .size = (size_t)n};
        return true;
    }
    stop(x, &output->io);
    ret_data->close = true;
    return true;
}

static ssize_t on_read(struct source *source, char *buf, size_t size)
{
    struct exec *x = container_of(source, struct exec, channel.source);
    struct exec_frame frame = {.exited = true, .exit_code = x->exit_code};

    (void)size; /* SOURCE_MIN is more than EXEC_FRAME_MAX */
    for (unsigned int i = 0; i < OUTPUTS; i++) {
        unsigned int at = (x->turn + i) % OUTPUTS;

        if (take_output(x, &x->outputs[at], &frame.streams[EXEC_STDOUT + at])) {
            x->turn = at + 1;
            return (ssize_t)exec_frame_encode(&frame, buf);
        }
    }
    if (!x->dead)
        return -EAGAIN;
    if (x->told)
        return 0;
    x->told = true;
    return (ssize_t)exec_frame_encode(&frame, buf);
}

/* Input */

/* Writes what the pipe takes; true when nothing is left. */
static bool write_input(struct exec *x)
{
    while (x->in.fd >= 0 && x->input_at < x->input_size) {
        ssize_t n = write(x->in.fd, x->input + x->input_at, x->input_size - x->input_at);

        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0 && errno != EINTR) /* the command does not want any more */
            stop(x, &x->in);
        x->input_at += n > 0 ? (size_t)n : 0;
    }
    free(take_ptr(x->input));
    x->input_size = x->input_at = 0;
    if (x->input_ends)
        stop(x, &x->in);
    return true;
}

static void on_input(struct ev_loop *loop, ev_io *w, int revents)
{
    struct exec *x = container_of(w, struct exec, in);

    (void)revents;
    if (!write_input(x))
        return;
    ev_io_stop(loop, w);
    request_resume(x->request);
}

static void resize(struct exec *x, const struct exec_size *size)
{
    unsigned char buf[EXEC_SIZE_BYTES];

    exec_size_encode(size, buf);
    /* A pipe with thousands of sizes that were not taken loses the next one. */
    (void)!write(x->control, buf, sizeof(buf));
}

static int on_receive(struct channel *channel, const char *data, size_t size)
{
    struct exec *x = container_of(channel, struct exec, channel);
    struct exec_frame frame;
    int r = exec_frame_decode(data, size, &frame, NULL);

    if (r)
        return r;
    if (frame.has_size)
        resize(x, &frame.size);
    if (x->input && frame.streams[EXEC_STDIN].size) {
        exec_frame_deinit(&frame);
        return -ENOBUFS; /* cannot happen: the server holds it back */
    }
    if (!x->input_ends && !x->input) {
        x->input = take_ptr(frame.streams[EXEC_STDIN].data);
        x->input_size = frame.streams[EXEC_STDIN].size;
        x->input_ends = frame.streams[EXEC_STDIN].close;
    }
    exec_frame_deinit(&frame);
    if (write_input(x))
        return 0;
    ev_io_start(x->api->loop, &x->in);
    return -EAGAIN;
}

/* Starting */

static struct exec *exec_new(struct request *r, const struct task_exec *child)
{
    struct exec *x = calloc(1, sizeof(*x));
    const int outputs[OUTPUTS] = {child->out, child->error};
    struct api *api = r->api;

    if (!x)
        abort();
    x->channel.source.read = on_read;
    x->channel.source.free = on_free;
    x->channel.receive = on_receive;
    x->api = api;
    x->request = r;
    x->control = child->control;
    ev_io_init(&x->in, on_input, child->in, EV_WRITE);
    for (int i = 0; i < OUTPUTS; i++) {
        ev_io_init(&x->outputs[i].io, on_output, outputs[i], EV_READ);
        x->outputs[i].io.data = x;
    }
    ev_io_init(&x->gone, on_gone, child->pidfd, EV_READ);
    ev_io_start(api->loop, &x->gone);
    x->link = &api->execs;
    x->next = api->execs;
    if (x->next)
        x->next->link = &x->next;
    api->execs = x;
    api->n_execs++;
    return x;
}

/* ?command=["sh","-c","…"]: the strings, and `ret_json`, which they live in. NULL after a 400. */
static char **read_command(struct request *r, json_t **ret_json)
{
    const char *text = request_param(r, "command");
    json_t *json = json_loads(text ? text : "", 0, NULL);
    size_t n = json_array_size(json);
    char **argv = n ? calloc(n + 1, sizeof(*argv)) : NULL;
    bool ok = argv;

    for (size_t i = 0; ok && i < n; i++) {
        argv[i] = (char *)json_string_value(json_array_get(json, i));
        ok = argv[i] && (i || *argv[i]);
    }
    if (ok) {
        *ret_json = json;
        return argv;
    }
    request_reply_text(r, 400,
                       "parameter \"command\" must be a JSON array of strings, the first of them "
                       "the program: [\"sh\",\"-c\",\"date\"]");
    json_decref(json);
    free(argv);
    return NULL;
}

static void start(struct request *r, const struct task *task, char **argv, bool tty)
{
    struct task_exec child = TASK_EXEC_INIT;
    struct err e = ERR_INIT;

    if (r->api->config->disable_remote_exec)
        request_reply_text(r, 403,
                           "commands in tasks are disabled by this agent's configuration "
                           "(client { disable_remote_exec })");
    else if (r->api->n_execs >= EXECS_MAX)
        request_reply_text(r, 429, "%d commands are running already", EXECS_MAX);
    else if (task->status.state != TASK_STATE_RUNNING)
        request_reply_text(r, 409, "task \"%s\" is not running", task->def->name);
    else if (task->status.paused)
        request_reply_text(r, 409, "task \"%s\" is paused, and so the command would be",
                           task->def->name);
    else if (r->method != HTTP_WEBSOCKET)
        request_reply_text(r, 400, "this path speaks WebSocket: ask for an upgrade");
    else if (manager_exec(r->api->manager, task, argv, tty, &child, &e))
        request_reply_err(r, &e);
    else
        request_reply_channel(r, &exec_new(r, &child)->channel);
}

void alloc_exec(struct request *r)
{
    const struct alloc *alloc = find_alloc(r);
    const struct task *task = alloc ? find_task(r, alloc) : NULL;
    autofree char **argv = NULL;
    json_t *json = NULL;
    bool tty;

    if (!task || !request_param_bool(r, "tty", false, &tty))
        return;
    argv = read_command(r, &json);
    if (argv)
        start(r, task, argv, tty);
    json_decref(json);
}
