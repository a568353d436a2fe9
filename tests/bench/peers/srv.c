/* One listener, one behaviour, one epoll loop: a server that costs as little as a server can, so that a benchmark measures
 * the client, and that knows the truth about its own answers.
 *
 *   srv MODE [FILE]     prints the port on its first line, then serves until standard input ends
 *
 *   rst      wait for the first byte, close with it unread: the kernel sends a RST, as Envoy without a filter chain does
 *   canned   read, answer with the bytes of FILE (a captured server flight), wait for the client to close
 *   fin      read, close
 *   hole     read, never answer
 *
 * With TRUTH=1 in the environment: at the end, one line "ADDRESS ASKED ANSWERED\n" for each answer: the address of ours that the
 * client had called, the kernel's stamp of the arrival of its first bytes, and the time right after the answer was given to the
 * kernel (on loopback it has then been delivered); both CLOCK_REALTIME, in nanoseconds.
 *
 * Linux only. Built on demand by tests/bench/peers: cc -O2 -Wall -Wextra -o srv srv.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum mode { RST, CANNED, FIN, HOLE };

static enum mode mode;
static char flight[1 << 16];
static ssize_t flight_size;
static int truth;
static unsigned int called[1 << 20];
static unsigned char answered[1 << 20];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static struct given {
    unsigned int address;
    struct timespec asked, answered;
} *given;
static size_t given_count, given_room;

/* Kept in memory: nobody reads our output while we serve, and a full pipe would stop us. */
static void note(int fd, struct timespec asked)
{
    if (!truth)
        return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (given_count == given_room) {
        given_room = given_room ? 2 * given_room : 4096;
        given = realloc(given, given_room * sizeof *given);
        if (!given)
            die("realloc");
    }
    given[given_count++] = (struct given){called[fd], asked, now};
}

static void tell_all(void)
{
    for (size_t i = 0; i < given_count; i++)
        printf("%s %lld%09ld %lld%09ld\n", inet_ntoa((struct in_addr){given[i].address}), (long long)given[i].asked.tv_sec,
               given[i].asked.tv_nsec, (long long)given[i].answered.tv_sec, given[i].answered.tv_nsec);
    fflush(stdout);
}

/* recv(), and when the kernel got what was received. */
static ssize_t receive(int fd, char *bytes, size_t room, int flags, struct timespec *arrived)
{
    char ancillary[CMSG_SPACE(sizeof *arrived)];
    struct iovec into = {bytes, room};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = ancillary, .msg_controllen = sizeof ancillary};
    ssize_t count = recvmsg(fd, &message, flags);
    struct cmsghdr *stamp = count > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (stamp && stamp->cmsg_level == SOL_SOCKET && stamp->cmsg_type == SCM_TIMESTAMPNS)
        memcpy(arrived, CMSG_DATA(stamp), sizeof *arrived);
    return count;
}

static void accept_all(int listener, int poller)
{
    for (;;) {
        struct sockaddr_in6 peer;
        socklen_t size = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == EMFILE || errno == ENFILE)
                return;
            continue; /* ECONNABORTED: the client was gone before we looked */
        }
        if (fd >= (int)(sizeof called / sizeof *called)) {
            close(fd);
            continue;
        }
        if (truth) {
            size = sizeof peer;
            getsockname(fd, (struct sockaddr *)&peer, &size);
            memcpy(&called[fd], peer.sin6_addr.s6_addr + 12, 4); /* IPv4, mapped */
        }
        answered[fd] = 0;
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
}

static void answer(int fd)
{
    char bytes[1 << 16];
    struct timespec arrived = {0};
    if (mode == RST) {
        /* The byte stays unread. */
        ssize_t count = receive(fd, bytes, 1, MSG_PEEK, &arrived);
        if (count < 0 && errno == EAGAIN)
            return;
        close(fd);
        if (count > 0)
            note(fd, arrived);
        return;
    }
    ssize_t count = receive(fd, bytes, sizeof bytes, 0, &arrived);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0) {
        close(fd);
        return;
    }
    if (mode == FIN) {
        close(fd);
        note(fd, arrived);
    } else if (mode == CANNED && !answered[fd]) {
        answered[fd] = 1;
        if (send(fd, flight, flight_size, MSG_NOSIGNAL) < 0)
            close(fd);
        else
            note(fd, arrived);
    }
}

int main(int argc, char **argv)
{
    const char *names[] = {"rst", "canned", "fin", "hole"};
    int chosen = -1;
    for (int i = 0; argc > 1 && i < 4; i++)
        if (strcmp(argv[1], names[i]) == 0)
            chosen = i;
    if (chosen < 0 || (chosen == CANNED && argc < 3)) {
        fprintf(stderr, "usage: srv rst|canned|fin|hole [FILE]\n");
        return 2;
    }
    mode = (enum mode)chosen;
    truth = getenv("TRUTH") != NULL;
    if (mode == CANNED) {
        int file = open(argv[2], O_RDONLY);
        if (file < 0 || (flight_size = read(file, flight, sizeof flight)) <= 0)
            die(argv[2]);
        close(file);
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int no = 0;
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    int yes = 1;
    if (truth)
        setsockopt(listener, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes); /* the accepted sockets inherit it */
    struct sockaddr_in6 here = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    socklen_t size = sizeof here;
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 16384) < 0)
        die("listen");
    getsockname(listener, (struct sockaddr *)&here, &size);
    printf("%u\n", ntohs(here.sin6_port));
    fflush(stdout);

    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    struct epoll_event end = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = STDIN_FILENO};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &end) < 0)
        die("standard input must be a pipe");
    struct epoll_event events[512];
    for (;;) {
        int count = epoll_wait(poller, events, 512, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(listener, poller);
            } else if (fd == STDIN_FILENO) {
                tell_all();
                return 0;
            } else {
                answer(fd);
            }
        }
    }
}
