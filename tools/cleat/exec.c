/* SPDX-License-Identifier: MIT
 *
 * cleat alloc exec: a WebSocket to the manager (shared/execframe.h) by libwebsockets, since
 * Debian's libcurl has none, on a libev loop with standard input.
 *
 * Input is read when the piece before is on its way; output is written as it comes, and a reader
 * that does not read holds up everything. So neither side can run away from the other.
 *
 * A terminal in raw mode is given back in every case: at the end, at exit(), and by signals.
 */
#include "tools/cleat/exec.h"

#include <errno.h>
#include <ev.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/execframe.h"
#include "tools/cleat/http.h"
#include "tools/cleat/ids.h"
#include "tools/cleat/output.h"

struct session {
    const struct cli *cli;
    struct ev_loop *loop;
    struct lws *wsi;
    ev_io in;
    ev_signal resized;
    bool tty, send_size;
    unsigned char out[LWS_PRE + EXEC_FRAME_MAX]; /* the message of input to be sent */
    size_t out_size;
    bool input_ended;
    char *message; /* being received */
    size_t message_size;
    bool connected, closed, exited;
    int code; /* the command's exit code; or ours, once `failed` */
    bool failed;
};

/* Raw mode */

static struct termios cooked;
static volatile sig_atomic_t is_raw;

static void restore_terminal(void)
{
    if (is_raw)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
    is_raw = 0;
}

static void on_deadly_signal(int signo)
{
    restore_terminal();
    (void)signal(signo, SIG_DFL);
    (void)raise(signo);
}

static void make_raw(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGABRT};
    struct sigaction sa = {.sa_handler = on_deadly_signal};
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &cooked) < 0)
        return; /* no terminal: nothing to change */
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)sigaction(signals[i], &sa, NULL);
    (void)atexit(restore_terminal);
    raw = cooked;
    cfmakeraw(&raw);
    is_raw = 1;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

/* Output */

static int fail(struct session *s, int code, const char *text)
{
    s->failed = true;
    s->code = cli_fail(code, "%s", text);
    return -1;
}

static int write_out(struct session *s, int fd, const char *data, size_t size)
{
    if (write_all(fd, data, size) < 0)
        return fail(s, CLI_FAILED, "cannot write the command's output");
    return 0;
}

static int take_message(struct session *s)
{
    struct exec_frame frame;
    struct err e = ERR_INIT;
    int r = exec_frame_decode(s->message, s->message_size, &frame, &e);

    if (r)
        return fail(s, CLI_FAILED, e.text);
    if (s->cli->json) {
        r = write_out(s, STDOUT_FILENO, s->message, s->message_size);
        r = r ? r : write_out(s, STDOUT_FILENO, "\n", 1);
    }
    for (int i = EXEC_STDOUT; !r && !s->cli->json && i < EXEC_STREAM_N; i++)
        r = write_out(s, i == EXEC_STDERR ? STDERR_FILENO : STDOUT_FILENO, frame.streams[i].data,
                      frame.streams[i].size);
    if (frame.exited) {
        s->exited = true;
        s->code = frame.exit_code;
    }
    exec_frame_deinit(&frame);
    return r;
}

static int on_received(struct session *s, const char *data, size_t size)
{
    char *grown = size > EXEC_FRAME_RECEIVE_MAX - s->message_size
                      ? NULL
                      : realloc(s->message, s->message_size + size + 1);
    int r;

    if (!grown)
        return fail(s, CLI_FAILED, "the manager sent a message that is too large");
    s->message = grown;
    memcpy(s->message + s->message_size, data, size);
    s->message_size += size;
    if (!lws_is_final_fragment(s->wsi))
        return 0;
    r = take_message(s);
    s->message_size = 0;
    return r;
}

/* Input */

static void queue(struct session *s, const struct exec_frame *frame)
{
    s->out_size = exec_frame_encode(frame, (char *)s->out + LWS_PRE);
    lws_callback_on_writable(s->wsi);
}

static void queue_end(struct session *s)
{
    const struct exec_frame end = {.streams[EXEC_STDIN].close = true};

    s->input_ended = true;
    queue(s, &end);
}

static void on_input(struct ev_loop *loop, ev_io *w, int revents)
{
    struct session *s = container_of(w, struct session, in);
    static char data[EXEC_FRAME_DATA_MAX];
    struct exec_frame frame = {.streams[EXEC_STDIN].data = data};
    ssize_t n = read(w->fd, data, sizeof(data));

    (void)revents;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    ev_io_stop(loop, w);
    if (n <= 0) {
        queue_end(s);
        return;
    }
    frame.streams[EXEC_STDIN].size = (size_t)n;
    queue(s, &frame);
}

static void on_resized(struct ev_loop *loop, ev_signal *w, int revents)
{
    struct session *s = container_of(w, struct session, resized);

    (void)loop;
    (void)revents;
    s->send_size = true;
    if (s->connected)
        lws_callback_on_writable(s->wsi);
}

static void on_connected(struct session *s)
{
    s->connected = true;
    if (s->tty) {
        make_raw();
        lws_callback_on_writable(s->wsi);
    }
    if (s->cli->stdin_)
        ev_io_start(s->loop, &s->in);
    else
        queue_end(s);
}

/* The size of our terminal, if it is one. */
static bool get_size(struct exec_frame *frame)
{
    struct winsize ws;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &ws) < 0)
        return false;
    frame->has_size = true;
    frame->size = (struct exec_size){.height = ws.ws_row, .width = ws.ws_col};
    return true;
}

static int on_writable(struct session *s)
{
    struct exec_frame frame = {0};
    size_t size;

    if (s->send_size && get_size(&frame)) {
        unsigned char buf[LWS_PRE + EXEC_FRAME_MAX];

        s->send_size = false;
        size = exec_frame_encode(&frame, (char *)buf + LWS_PRE);
        lws_callback_on_writable(s->wsi);
        return lws_write(s->wsi, buf + LWS_PRE, size, LWS_WRITE_TEXT) < (int)size ? -1 : 0;
    }
    if (!s->out_size)
        return 0;
    size = s->out_size;
    s->out_size = 0;
    if (lws_write(s->wsi, s->out + LWS_PRE, size, LWS_WRITE_TEXT) < (int)size)
        return -1;
    if (!s->input_ended)
        ev_io_start(s->loop, &s->in);
    return 0;
}

/* The connection */

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t size)
{
    struct session *s = lws_context_user(lws_get_context(wsi));

    (void)user;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        on_connected(s);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return on_received(s, in, size);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writable(s);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
    case LWS_CALLBACK_CLIENT_CLOSED:
        s->closed = true;
        ev_break(s->loop, EVBREAK_ALL);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {{.name = "exec", .callback = on_lws}, {0}};

static struct lws_context *start_lws(struct session *s)
{
    static const lws_retry_bo_t no_pings = {0};
    void *loops[] = {s->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBEV,
        .foreign_loops = loops,
        .retry_and_idle_policy = &no_pings,
        .pt_serv_buf_size = 64 << 10, /* the whole request, with the command in it */
        .gid = -1,
        .uid = -1,
        .user = s,
    };

    (void)unsetenv("http_proxy"); /* the manager is on this host */
    lws_set_log_level(0, NULL);
    return lws_create_context(&info);
}

/* Starts to connect to cli->address (http.c has complained about any other form of it). */
static int connect_to(struct session *s, struct lws_context *context, const char *path)
{
    const char *address = s->cli->address;
    struct lws_client_connect_info to = {
        .context = context, .path = path, .host = "localhost", .pwsi = &s->wsi};
    autofree char *host = NULL;
    char *colon;

    if (!strncmp(address, "unix://", 7)) {
        if (asprintf(&host, "+%s", address + 7) < 0)
            return -1;
    } else {
        host = strdup(address + strlen("http://"));
        colon = host ? strrchr(host, ':') : NULL;
        to.port = colon ? atoi(colon + 1) : 80;
        if (colon)
            *colon = '\0';
        if (host && host[0] == '[') { /* [::1] */
            host[strcspn(host, "]")] = '\0';
            memmove(host, host + 1, strlen(host));
        }
    }
    to.address = host;
    return host && lws_client_connect_via_info(&to) ? 0 : -1;
}

static int run(struct session *s, const char *path)
{
    struct lws_context *context;

    s->loop = ev_default_loop(EVFLAG_NOENV);
    ev_io_init(&s->in, on_input, STDIN_FILENO, EV_READ);
    ev_signal_init(&s->resized, on_resized, SIGWINCH);
    if (s->tty)
        ev_signal_start(s->loop, &s->resized);
    s->send_size = s->tty;
    context = start_lws(s);
    if (!context)
        return cli_fail(CLI_FAILED, "libwebsockets does not start: is its libev part installed "
                                    "(Debian: libwebsockets-evlib-ev)?");
    if (!connect_to(s, context, path) && !s->closed)
        ev_run(s->loop, 0);
    restore_terminal();
    ev_io_stop(s->loop, &s->in);
    ev_signal_stop(s->loop, &s->resized);
    lws_context_destroy(context);
    free(s->message);
    if (s->exited || s->failed)
        return s->code;
    if (s->connected)
        return cli_fail(CLI_UNREACHABLE, "the connection to cleat-manager at %s was lost",
                        s->cli->address);
    /* A refusal says why only when it is asked for as plain HTTP; if nobody answers, so does this.
     */
    return http_get(s->cli, NULL, "%s", path) ?: cli_fail(CLI_FAILED, "no WebSocket");
}

/* The command as a JSON array, for a URL. */
static char *escape_command(char *const *args, int n)
{
    json_t *list = json_array();
    autofree char *text = NULL;

    for (int i = 0; i < n; i++)
        (void)json_array_append_new(list, json_string(args[i]));
    text = json_array_size(list) == (size_t)n ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text ? http_escape(text) : NULL;
}

int alloc_exec(struct cli *cli)
{
    autofree char *id = NULL, *task = NULL, *command = NULL, *path = NULL;
    static struct session s;
    int r;

    s.cli = cli;
    s.tty = cli->set_tty ? cli->tty : cli->stdin_ && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (s.tty && !cli->stdin_)
        return cli_usage(cli, "-t needs -i");
    command = escape_command(cli->args + 1, cli->n_args - 1);
    if (!command)
        return cli_usage(cli, "the command must be UTF-8");
    r = find_alloc_id(cli, cli->args[0], &id);
    if (!r)
        r = find_task(cli, id, cli->task, &task);
    if (r)
        return r;
    if (asprintf(&path, "/v1/client/allocation/%s/exec?task=%s&tty=%s&command=%s", id, task,
                 s.tty ? "true" : "false", command) < 0)
        return cli_fail(CLI_FAILED, "out of memory");
    return run(&s, path);
}
