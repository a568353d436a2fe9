/* The physical limit: what a handshake costs a client that does nothing but the system calls. Beside it stands prober.
 *
 *   cli PORT CONCURRENCY TOTAL HELLO     sends the bytes of the file HELLO over TOTAL connections, to 127.0.0.1 ... 127.0.0.200 in
 *                                        turn, reads the first answer (or RST, or FIN), and closes abortively
 *
 * Prints "connections resets answers microseconds_of_cpu_per_connection connections_per_second".
 *
 * Linux only. Built on demand by tests/bench/peers: cc -O2 -Wall -Wextra -o cli cli.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DESCRIPTORS = 1 << 20 };

static unsigned char sent[DESCRIPTORS];
static char hello[1 << 14];
static ssize_t hello_size;
static int port, poller;
static long started, total;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void start(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(0x7f000001 + started % 200);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || fd >= DESCRIPTORS)
        die("socket");
    struct linger abort = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("connect");
    sent[fd] = 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
    started++;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: cli PORT CONCURRENCY TOTAL HELLO\n");
        return 2;
    }
    port = atoi(argv[1]);
    long concurrency = atol(argv[2]), ended = 0, resets = 0, answers = 0;
    total = atol(argv[3]);
    int file = open(argv[4], O_RDONLY);
    if (file < 0 || (hello_size = read(file, hello, sizeof hello)) <= 0)
        die(argv[4]);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (started < concurrency && started < total)
        start();
    struct epoll_event events[1024];
    static char answer[1 << 16];
    while (ended < total) {
        int count = epoll_wait(poller, events, 1024, 10000);
        if (count == 0) {
            fprintf(stderr, "nothing happened for 10 s\n");
            return 1;
        }
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (!sent[fd]) {
                sent[fd] = 1;
                if (send(fd, hello, hello_size, MSG_NOSIGNAL) >= 0 && !(events[i].events & (EPOLLIN | EPOLLRDHUP)))
                    continue;
            }
            ssize_t got = recv(fd, answer, sizeof answer, 0);
            if (got < 0 && errno == EAGAIN)
                continue;
            if (got > 0)
                answers++;
            else if (got < 0)
                resets++;
            close(fd);
            ended++;
            if (started < total)
                start();
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + 1e-6 * (used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    double wall = (end.tv_sec - begin.tv_sec) + 1e-9 * (end.tv_nsec - begin.tv_nsec);
    printf("%ld %ld %ld %.2f %.0f\n", ended, resets, answers, 1e6 * cpu / total, total / wall);
    return 0;
}
