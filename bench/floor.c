/* The floor under a load generator: the least that a client on io_uring can spend on an exchange.
 *
 *     floor ADDRESS[,ADDRESS...] PORT IN_FLIGHT SECONDS WHAT QUICKACK
 *
 * WHAT is server (short connections that the server closes), client (short ones that we close) or kept.
 * QUICKACK 0 leaves the socket option out; 1 turns it off on each socket, so that the ACK of a response
 * leaves together with our FIN (needs Linux 6.7).
 *
 * Each of the IN_FLIGHT slots owns a linked chain of requests that never changes:
 *
 *     socket into the slot, [setsockopt,] connect, send, recv, [recv(MSG_PEEK), which sees the server's FIN]
 *
 * The socket that a chain makes replaces the former one in the slot, which closes it. On kept connections
 * a slot goes through the whole chain once, and through send and recv from then on. Only recv, and what
 * comes after it, completes with an event where it succeeds. The loop waits for half of the slots or a
 * little more, then sends all that are done on their way again. One JSON line of counts is printed at the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_ADDRESSES = 256, BUFFER = 4096, STEP_BITS = 3 };
enum step { SOCKET, OPTION, CONNECT, SEND, RECV, END_OF_FILE };

#define SOCKET_COMMAND_SETSOCKOPT 3 /* SOCKET_URING_OP_SETSOCKOPT of <linux/io_uring.h>; not in liburing 2.3 */

struct slot {
    struct sockaddr_in to;
    unsigned received; /* bytes of the response; 0 where none came */
    char buffer[BUFFER];
};

static struct io_uring ring;
static struct slot *slots;
static char request[256];
static int request_length, closer_is_server, kept, quickack;
static const int off = 0;

static void die(const char *what, int error)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(error));
    exit(1);
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* The next entry of the queue: to be prepared, then told whose step it is. */
static struct io_uring_sqe *entry(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe)
        die("submission queue", ENOSPC);
    return sqe;
}

static void belongs(struct io_uring_sqe *sqe, unsigned slot, enum step step, unsigned flags)
{
    sqe->user_data = (unsigned long long)slot << STEP_BITS | step;
    sqe->flags |= flags;
}

static void set_quickack_off(struct io_uring_sqe *sqe, unsigned slot)
{
    /* By hand: level and name share `addr`, the length lies over `file_index`, the value's address in `addr3`. */
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = slot;
    sqe->cmd_op = SOCKET_COMMAND_SETSOCKOPT;
    sqe->addr = (unsigned long long)TCP_QUICKACK << 32 | IPPROTO_TCP;
    sqe->file_index = sizeof off;
    sqe->addr3 = (unsigned long)&off;
}

static void queue_exchange(unsigned slot, unsigned quiet)
{
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_send(sqe, slot, request, request_length, MSG_NOSIGNAL);
    belongs(sqe, slot, SEND, quiet | IOSQE_FIXED_FILE);
    sqe = entry();
    io_uring_prep_recv(sqe, slot, slots[slot].buffer, BUFFER, 0);
    belongs(sqe, slot, RECV, IOSQE_FIXED_FILE | (closer_is_server ? IOSQE_IO_LINK : 0));
    if (closer_is_server) {
        sqe = entry();
        io_uring_prep_recv(sqe, slot, slots[slot].buffer, 1, MSG_PEEK);
        belongs(sqe, slot, END_OF_FILE, IOSQE_FIXED_FILE);
    }
}

static void queue_connection(unsigned slot)
{
    const unsigned quiet = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_socket_direct(sqe, AF_INET, SOCK_STREAM, 0, slot, 0);
    belongs(sqe, slot, SOCKET, quiet);
    if (quickack) {
        sqe = entry();
        set_quickack_off(sqe, slot);
        belongs(sqe, slot, OPTION, quiet | IOSQE_FIXED_FILE);
    }
    sqe = entry();
    io_uring_prep_connect(sqe, slot, (struct sockaddr *)&slots[slot].to, sizeof slots[slot].to);
    belongs(sqe, slot, CONNECT, quiet | IOSQE_FIXED_FILE);
    queue_exchange(slot, quiet);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "floor ADDRESS[,ADDRESS...] PORT IN_FLIGHT SECONDS server|client|kept QUICKACK\n");
        return 2;
    }
    const unsigned in_flight = atoi(argv[3]);
    const long long duration_ns = atof(argv[4]) * 1e9;
    closer_is_server = !strcmp(argv[5], "server");
    kept = !strcmp(argv[5], "kept");
    quickack = atoi(argv[6]);
    struct in_addr addresses[MOST_ADDRESSES];
    unsigned address_count = 0, next_address = 0;
    char first[INET_ADDRSTRLEN] = "";
    for (char *text = strtok(argv[1], ","); text && address_count < MOST_ADDRESSES; text = strtok(NULL, ",")) {
        if (inet_pton(AF_INET, text, &addresses[address_count++]) != 1)
            die(text, EINVAL);
        if (!*first)
            snprintf(first, sizeof first, "%s", text);
    }
    if (!address_count || !in_flight || duration_ns <= 0)
        die("arguments", EINVAL);
    request_length = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s:%s\r\n%s\r\n", first, argv[2],
                              closer_is_server ? "Connection: close\r\n" : "");
    slots = calloc(in_flight, sizeof *slots);

    unsigned entries = 64;
    while (entries < 8 * in_flight && entries < 32768)
        entries *= 2;
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    int error = io_uring_queue_init_params(entries, &ring, &params);
    if (error)
        die("io_uring_queue_init", -error);
    error = io_uring_register_files_sparse(&ring, in_flight);
    if (error)
        die("io_uring_register_files_sparse", -error);

    unsigned long long exchanges = 0, failed = 0;
    int first_error = 0;
    unsigned expected = 0, alive = in_flight;
    const enum step last = closer_is_server ? END_OF_FILE : RECV;
    const unsigned events = closer_is_server ? 2 : 1; /* of a slot, where all goes well */
    /* As the driver waits: five eighths of the two events of a short connection, half of a kept one's. */
    const unsigned batch = in_flight < 2 ? 1 : events == 2 ? in_flight * 5 / 4 : in_flight / 2;
    const long long begun_ns = now_ns();
    for (unsigned slot = 0; slot < in_flight; slot++) {
        slots[slot].to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
        slots[slot].to.sin_addr = addresses[next_address++ % address_count];
        queue_connection(slot);
        if (io_uring_sq_space_left(&ring) < 8)
            io_uring_submit(&ring);
    }
    while (alive) {
        struct __kernel_timespec second = {.tv_sec = 1};
        struct io_uring_cqe *cqe;
        error = io_uring_submit_and_wait_timeout(&ring, &cqe, batch < alive ? batch : alive, &second, NULL);
        if (error < 0 && error != -ETIME && error != -EINTR)
            die("io_uring_submit_and_wait_timeout", -error);
        const long long elapsed_ns = now_ns() - begun_ns;
        if (elapsed_ns > duration_ns + 2000000000LL)
            break; /* Whoever does not answer within two seconds more is given up. */
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            const unsigned slot = cqe->user_data >> STEP_BITS;
            const enum step step = cqe->user_data & ((1 << STEP_BITS) - 1);
            struct slot *at = &slots[slot];
            seen++;
            if (step == RECV && cqe->res > 0) {
                at->received = cqe->res;
                if (!expected)
                    expected = cqe->res;
            }
            /* A step whose success is skipped takes the rest of its chain with it, without a word. */
            if (step != last && !(step < RECV && cqe->res < 0))
                continue;
            int good = cqe->res >= 0 && at->received == expected && !memcmp(at->buffer, "HTTP/1.1 200", 12);
            if (last == END_OF_FILE)
                good = good && cqe->res == 0;
            at->received = 0;
            exchanges += good;
            failed += !good;
            if (!good && !first_error)
                first_error = cqe->res < 0 ? -cqe->res : EBADMSG;
            if (elapsed_ns >= duration_ns)
                alive--;
            else if (kept && good)
                queue_exchange(slot, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
            else {
                at->to.sin_addr = addresses[next_address++ % address_count];
                queue_connection(slot);
            }
            if (io_uring_sq_space_left(&ring) < 8)
                io_uring_submit(&ring);
        }
        io_uring_cq_advance(&ring, seen);
    }
    printf("{\"exchanges\": %llu, \"failed\": %llu, \"first_error\": %d, \"elapsed_ns\": %lld}\n", exchanges, failed,
           first_error, now_ns() - begun_ns);
    return 0;
}
