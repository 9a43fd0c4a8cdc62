/* SPDX-License-Identifier: MIT
 *
 * We listen ourselves and hand accepted connections to libwebsockets, which would create the socket
 * file with mode 0755, remove any file in its way and know nothing of the peer.
 *
 * Who may connect. unix: root and our own user, by file mode and again by SO_PEERCRED (the mode may
 * have been changed, the socket passed on). TCP: every user of the host, so only addresses that the
 * configuration names, and only loopback ones.
 *
 * A new socket is bound beside its place and renamed into it: it is never seen with another mode,
 * and clients never find a file without a listener.
 */
#include "manager/api/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/place.h"
#include "shared/sys.h"

#define UNIX_SCHEME "unix://"
#define TCP_SCHEME "http://"

static int set_unix_address(struct sockaddr_un *un, const char *path, struct err *e)
{
    *un = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] != '/')
        return err_set(e, -EINVAL, "address unix://%s: the path must be absolute (unix:///path)",
                       path);
    if (strlen(path) >= sizeof(un->sun_path))
        return err_set(e, -ENAMETOOLONG,
                       "socket path %s is too long: the system allows %zu characters", path,
                       sizeof(un->sun_path) - sizeof(".new"));
    strcpy(un->sun_path, path);
    return 0;
}

static bool is_alive(pid_t pid)
{
    autofd int pidfd = sys_pidfd_open(pid, 0);
    struct pollfd poller = {.fd = pidfd, .events = POLLIN};

    return pidfd < 0 ? errno != ESRCH : poll(&poller, 1, 0) == 0;
}

/* 0 when nothing lives at `path`: no file, or a dead listener's socket. A manager killed while it
 * forked leaves a child that has its sockets until it executes: they answer, for a moment, in the
 * name of the dead. */
static int check_free(const char *path, struct err *e)
{
    struct sockaddr_un un;
    struct ucred peer;
    socklen_t size = sizeof(peer);
    struct stat st;
    int r = set_unix_address(&un, path, e);

    if (r)
        return r;
    if (lstat(path, &st))
        return errno == ENOENT ? 0 : err_sys(e, -errno, "cannot look at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(
            e, -EEXIST,
            "cannot listen on %s: a file that is no socket is there; remove it or choose "
            "another -address",
            path);
    autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, -errno, "cannot create a socket");
    if (connect(fd, (struct sockaddr *)&un, sizeof(un)) && errno != EAGAIN)
        return errno == ECONNREFUSED ? 0 : err_sys(e, -errno, "cannot probe socket %s", path);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || !peer.pid)
        return err_set(e, -EADDRINUSE, "socket %s is in use by another process", path);
    if (!is_alive(peer.pid))
        return 0;
    return err_set(e, -EADDRINUSE,
                   "socket %s is in use by process %d: stop it or choose another -address", path,
                   (int)peer.pid);
}

static int bind_private(int fd, const struct sockaddr_un *un)
{
    mode_t mask = umask(0177);
    int r = bind(fd, (const struct sockaddr *)un, sizeof(*un)) ? -errno : 0;

    umask(mask);
    return r;
}

static int open_unix(struct listener *l, const char *path, struct err *e)
{
    struct sockaddr_un un;
    autofree char *fresh = NULL, *copy = strdup(path);
    autofd int fd = -1;
    struct stat st;
    int r;

    if (!copy || asprintf(&fresh, "%s.new", path) < 0)
        return err_sys(e, -ENOMEM, "cannot listen on %s", path);
    if ((r = set_unix_address(&un, fresh, e)) || (r = check_free(path, e)))
        return r;
    if ((r = place_make_parents(path)))
        return err_sys(e, r, "cannot make the directory of the socket %s", path);
    (void)unlink(fresh); /* left by a manager that died right here */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, -errno, "cannot create a socket");
    if ((r = bind_private(fd, &un)))
        return err_sys(e, r, "cannot create socket %s", fresh);
    if (listen(fd, SOMAXCONN) || lstat(fresh, &st) || rename(fresh, path)) {
        r = -errno;
        (void)unlink(fresh);
        return err_sys(e, r, "cannot listen on %s", path);
    }
    *l = (struct listener){.fd = take_fd(&fd),
                           .unix_ = true,
                           .path = take_ptr(copy),
                           .dev = st.st_dev,
                           .ino = st.st_ino};
    return 0;
}

static bool is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24 == 127;
    return sa->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

/* "127.0.0.1:4646", "[::1]:4646", "localhost:4646", one '/' at the end allowed. Modifies `text`. */
static int parse_host_port(char *text, const char **ret_host, const char **ret_port)
{
    size_t size = strlen(text);

    if (size && text[size - 1] == '/')
        text[size - 1] = '\0';
    char *colon = strrchr(text, ':');
    if (!colon || colon == text || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(colon + 1) > 5 || atoi(colon + 1) < 1 || atoi(colon + 1) > 65535)
        return -EINVAL; /* getaddrinfo() takes larger ports and cuts them */
    *colon = '\0';
    *ret_port = colon + 1;
    *ret_host = text;
    if (text[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        *ret_host = text + 1;
    } else if (!strcmp(text, "localhost"))
        *ret_host = "127.0.0.1";
    return 0;
}

/* The caller frees *ret_info. */
static int resolve(const char *address, const char *rest, struct addrinfo **ret_info, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    autofree char *text = strdup(rest);
    const char *host, *port;

    if (!text)
        return err_sys(e, -ENOMEM, "cannot listen on %s", address);
    if (parse_host_port(text, &host, &port) || getaddrinfo(host, port, &hints, ret_info))
        return err_set(e, -EINVAL,
                       "address %s: write http://127.0.0.1:PORT or http://[::1]:PORT, in numbers",
                       address);
    if (is_loopback((*ret_info)->ai_addr))
        return 0;
    freeaddrinfo(*ret_info);
    return err_set(e, -EINVAL,
                   "address %s is not a loopback address: the API has no encryption and no log-in, "
                   "so it is only served inside this host",
                   address);
}

static int open_tcp(struct listener *l, const char *address, const char *rest, struct err *e)
{
    struct addrinfo *ai;
    int one = 1, r = resolve(address, rest, &ai, e);
    autofd int fd = -1;

    if (r)
        return r;
    if ((fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, SOMAXCONN))
        r = errno == EADDRINUSE
                ? err_set(e, -EADDRINUSE,
                          "port of %s is in use by another process: stop it or choose another "
                          "-address",
                          address)
                : err_sys(e, -errno, "cannot listen on %s", address);
    freeaddrinfo(ai);
    if (!r)
        *l = (struct listener){.fd = take_fd(&fd)};
    return r;
}

int listener_check(const char *address, struct err *e)
{
    struct addrinfo *ai;
    struct sockaddr_un un;
    int r;

    if (!strncmp(address, UNIX_SCHEME, strlen(UNIX_SCHEME)))
        return set_unix_address(&un, address + strlen(UNIX_SCHEME), e);
    if (strncmp(address, TCP_SCHEME, strlen(TCP_SCHEME)) != 0)
        return err_set(e, -EINVAL, "address %s: write unix:///PATH or http://127.0.0.1:PORT",
                       address);
    r = resolve(address, address + strlen(TCP_SCHEME), &ai, e);
    if (!r)
        freeaddrinfo(ai);
    return r;
}

int listener_open(struct listener *l, const char *address, struct err *e)
{
    int r = listener_check(address, e);

    if (r)
        return r;
    if (!strncmp(address, UNIX_SCHEME, strlen(UNIX_SCHEME)))
        return open_unix(l, address + strlen(UNIX_SCHEME), e);
    return open_tcp(l, address, address + strlen(TCP_SCHEME), e);
}

void listener_refuse(int fd, const char *status, const char *text)
{
    char reply[512];
    int n = snprintf(reply, sizeof(reply),
                     "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s",
                     status, strlen(text), text);

    (void)!send(fd, reply, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)close(fd);
}

int listener_accept(const struct listener *l)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return -errno;
    if (!l->unix_ || (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
                      (peer.uid == 0 || peer.uid == geteuid())))
        return fd;
    listener_refuse(fd, "403 Forbidden", "only root and the manager's own user may connect");
    return -EACCES;
}

void listener_close(struct listener *l)
{
    struct stat st;

    close_fd(&l->fd);
    if (l->path && !lstat(l->path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
        (void)unlink(l->path);
    free(l->path);
    l->path = NULL;
}
