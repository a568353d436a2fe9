/* The physical limit: what a handshake costs a client that does nothing but the system calls and, in TLS 1.3, the cryptography
 * without which the certificate cannot be read. Beside it stands prober.
 *
 *   cli PORT CONCURRENCY TOTAL HELLO KEY   sends the bytes of the file HELLO over TOTAL connections, to 127.0.0.1 ... 127.0.0.200 in
 *                                          turn, reads until the Certificate message is complete (or RST, or FIN), closes abortively
 *
 * KEY is a file with the X25519 private key (32 bytes) of the share in HELLO: keys are made once, here. Nothing is verified, and
 * nothing beyond the certificate is parsed. Prints {"outcomes": {"certificate": N, "reset": N, "other": N}, "seconds": S}.
 *
 * Linux only. Built on demand by tests/bench/peers: cc -O2 -Wall -Wextra -o cli cli.c -lcrypto
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DESCRIPTORS = 1 << 20, FLIGHT = 1 << 14, HASH_MAX = 64 };
enum { CERTIFICATE, RESET, OTHER, OUTCOMES };
enum { MORE = -1 };

/* What was received of one flight. */
struct flight {
    size_t size;
    unsigned char bytes[FLIGHT];
};

static struct flight *flights[DESCRIPTORS];
static unsigned char sent[DESCRIPTORS];
static unsigned char hello[1 << 14], private_key[32];
static ssize_t hello_size;
static int port, poller;
static long started, total, outcomes[OUTCOMES];
static EVP_PKEY *own_key;
static EVP_CIPHER_CTX *opening;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* -- TLS 1.3, RFC 8446 section 7.1 ------------------------------------------------------------------------------------------- */

static void expand_label(const EVP_MD *hash, const unsigned char *secret, const char *label, const unsigned char *context,
                         size_t context_size, unsigned char *out, size_t size)
{
    unsigned char info[160], block[HASH_MAX];
    size_t at = 0, label_size = strlen(label);
    info[at++] = size >> 8;
    info[at++] = size;
    info[at++] = 6 + label_size;
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, label_size);
    at += 6 + label_size;
    info[at++] = context_size;
    memcpy(info + at, context, context_size);
    at += context_size;
    info[at++] = 1; /* nothing here is longer than one block of HKDF-Expand */
    HMAC(hash, secret, EVP_MD_get_size(hash), info, at, block, NULL);
    memcpy(out, block, size);
}

/* Decrypts the records behind the ServerHello into `plain`; the size of their handshake messages. */
static size_t open_records(const unsigned char *server_hello, size_t hello_record, const unsigned char *bytes, size_t size,
                           unsigned char *plain)
{
    const unsigned char *end = server_hello + hello_record, *at = server_hello + 4 + 2 + 32;
    at += 1 + *at; /* session id */
    int suite = at[0] << 8 | at[1];
    if (suite != 0x1301 && suite != 0x1302)
        return 0;
    const EVP_MD *hash = suite == 0x1302 ? EVP_sha384() : EVP_sha256();
    const EVP_CIPHER *cipher = suite == 0x1302 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
    size_t length = EVP_MD_get_size(hash), shared_size = 32;
    const unsigned char *share = NULL;
    for (at += 5; at + 4 <= end; at += 4 + (at[2] << 8 | at[3]))
        if (at[0] == 0 && at[1] == 51 && at[4] == 0 && at[5] == 29)
            share = at + 8;
    if (!share)
        return 0;
    unsigned char shared[32];
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, share, 32);
    EVP_PKEY_CTX *exchange = EVP_PKEY_CTX_new(own_key, NULL);
    EVP_PKEY_derive_init(exchange);
    EVP_PKEY_derive_set_peer(exchange, peer);
    EVP_PKEY_derive(exchange, shared, &shared_size);
    EVP_PKEY_CTX_free(exchange);
    EVP_PKEY_free(peer);

    unsigned char zeros[HASH_MAX] = {0}, early[HASH_MAX], derived[HASH_MAX], secret[HASH_MAX], digest[HASH_MAX], key[32], iv[12];
    HMAC(hash, zeros, length, zeros, length, early, NULL);
    EVP_Digest("", 0, digest, NULL, hash, NULL);
    expand_label(hash, early, "derived", digest, length, derived, length);
    HMAC(hash, derived, length, shared, sizeof shared, secret, NULL);
    EVP_MD_CTX *transcript = EVP_MD_CTX_new();
    EVP_DigestInit_ex(transcript, hash, NULL);
    EVP_DigestUpdate(transcript, hello + 5, hello_size - 5);
    EVP_DigestUpdate(transcript, server_hello, hello_record);
    EVP_DigestFinal_ex(transcript, digest, NULL);
    EVP_MD_CTX_free(transcript);
    expand_label(hash, secret, "s hs traffic", digest, length, secret, length);
    expand_label(hash, secret, "key", NULL, 0, key, EVP_CIPHER_get_key_length(cipher));
    expand_label(hash, secret, "iv", NULL, 0, iv, sizeof iv);

    size_t plain_size = 0;
    EVP_DecryptInit_ex(opening, cipher, NULL, key, iv);
    for (unsigned char number = 0; size >= 5; number++) {
        int count = 0, record = bytes[3] << 8 | bytes[4];
        if (size < 5 + (size_t)record)
            break;
        if (bytes[0] == 23 && record > 17) {
            iv[11] ^= number;
            EVP_DecryptInit_ex(opening, NULL, NULL, NULL, iv);
            iv[11] ^= number;
            EVP_DecryptUpdate(opening, NULL, &count, bytes, 5);
            EVP_DecryptUpdate(opening, plain + plain_size, &count, bytes + 5, record - 16);
            EVP_CIPHER_CTX_ctrl(opening, EVP_CTRL_GCM_SET_TAG, 16, (void *)(bytes + 5 + record - 16));
            int rest = 0;
            if (EVP_DecryptFinal_ex(opening, plain + plain_size + count, &rest) != 1)
                return 0;
            plain_size += count - 1; /* the content type; nobody here pads */
        } else {
            number--; /* change_cipher_spec */
        }
        bytes += 5 + record;
        size -= 5 + record;
    }
    return plain_size;
}

/* -- the flight -------------------------------------------------------------------------------------------------------------- */

static int holds_certificate(const unsigned char *messages, size_t size)
{
    while (size >= 4) {
        size_t length = 4 + ((size_t)messages[1] << 16 | messages[2] << 8 | messages[3]);
        if (length > size)
            return 0;
        if (messages[0] == 11)
            return 1;
        messages += length;
        size -= length;
    }
    return 0;
}

/* CERTIFICATE, OTHER or MORE. */
static int judge(const struct flight *flight)
{
    unsigned char messages[FLIGHT];
    size_t count = 0, at = 0;
    while (flight->size - at >= 5) {
        const unsigned char *record = flight->bytes + at;
        size_t length = record[3] << 8 | record[4];
        if (record[0] != 22 && record[0] != 20)
            return OTHER;
        if (flight->size - at - 5 < length)
            break;
        at += 5 + length;
        if (record[0] == 22) {
            memcpy(messages + count, record + 5, length);
            count += length;
        } else if (count) { /* TLS 1.3: change_cipher_spec follows the ServerHello */
            static unsigned char plain[FLIGHT];
            size_t opened = open_records(messages, count, flight->bytes + at, flight->size - at, plain);
            return holds_certificate(plain, opened) ? CERTIFICATE : MORE;
        }
    }
    return holds_certificate(messages, count) ? CERTIFICATE : MORE;
}

/* Most flights come whole: only what is incomplete is kept. */
static int receive(int fd)
{
    static struct flight arriving;
    struct flight *flight = flights[fd] ? flights[fd] : &arriving;
    if (flight == &arriving)
        arriving.size = 0;
    ssize_t got = recv(fd, flight->bytes + flight->size, FLIGHT - flight->size, 0);
    if (got < 0)
        return errno == EAGAIN ? MORE : errno == ECONNRESET ? RESET : OTHER;
    if (got == 0)
        return OTHER;
    flight->size += got;
    int outcome = judge(flight);
    if (outcome == MORE && flight == &arriving) {
        flights[fd] = malloc(sizeof *flight);
        if (!flights[fd])
            die("malloc");
        flights[fd]->size = arriving.size;
        memcpy(flights[fd]->bytes, arriving.bytes, arriving.size);
    }
    return outcome;
}

/* -- the loop ---------------------------------------------------------------------------------------------------------------- */

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

static ssize_t read_file(const char *name, unsigned char *into, size_t room)
{
    int file = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? -1 : read(file, into, room);
    if (size <= 0)
        die(name);
    close(file);
    return size;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: cli PORT CONCURRENCY TOTAL HELLO KEY\n");
        return 2;
    }
    port = atoi(argv[1]);
    long concurrency = atol(argv[2]), ended = 0;
    total = atol(argv[3]);
    hello_size = read_file(argv[4], hello, sizeof hello);
    read_file(argv[5], private_key, sizeof private_key);
    own_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, sizeof private_key);
    opening = EVP_CIPHER_CTX_new();
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
    while (ended < total) {
        int count = epoll_wait(poller, events, 1024, 60000);
        if (count == 0) {
            fprintf(stderr, "nothing happened for a minute\n");
            return 1;
        }
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (!sent[fd]) {
                sent[fd] = 1;
                if (send(fd, hello, hello_size, MSG_NOSIGNAL) >= 0 && !(events[i].events & (EPOLLIN | EPOLLRDHUP)))
                    continue;
            }
            int outcome = receive(fd);
            if (outcome == MORE)
                continue;
            outcomes[outcome]++;
            free(flights[fd]);
            flights[fd] = NULL;
            close(fd);
            ended++;
            if (started < total)
                start();
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("{\"outcomes\": {\"certificate\": %ld, \"reset\": %ld, \"other\": %ld}, \"seconds\": %.6f}\n", outcomes[CERTIFICATE],
           outcomes[RESET], outcomes[OTHER], (end.tv_sec - begin.tv_sec) + 1e-9 * (end.tv_nsec - begin.tv_nsec));
    return 0;
}
