/*
 * AF_XDP on libxdp, as its users write it: the inline functions of xsk.h, in batches of 64, and nothing else.
 *
 *   xsk receive|touch|transmit|forward INTERFACE native|generic BYTES PACKETS
 *
 * The same programs as `xtask/src/tools/bench/xdp_ours.rs`, which says what each does and what is printed, and when. It says `ready` when
 * packets can come.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <xdp/xsk.h>

#define CHUNK 2048
#define RING 2048
#define CHUNKS (2 * RING)
#define BATCH 64

/* Found by name in the profile. */
#define MEASURED __attribute__((noinline))

struct world {
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons rx, completion;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	char *buffer;
	int fd;
	/* Chunks to send from. */
	uint64_t free[RING];
	uint32_t free_count;
	uint32_t outstanding;
	uint64_t calls;
	uint64_t first;
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "xsk: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void wait_readable(struct world *w)
{
	struct pollfd wait = { .fd = w->fd, .events = POLLIN };

	if (xsk_ring_prod__needs_wakeup(&w->fill)) {
		w->calls++;
		recvfrom(w->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	}
	w->calls++;
	if (poll(&wait, 1, 1000) == 0)
		fail("no packet came for a second", ETIME);
}

static void kick(struct world *w)
{
	w->calls++;
	if (sendto(w->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EBUSY && errno != ENOBUFS)
		fail("sendto", errno);
}

static inline uint64_t touched(const char *data)
{
	uint64_t words[8], sum = 0;

	memcpy(words, data, sizeof(words));
	for (int i = 0; i < 8; i++)
		sum ^= words[i];
	return sum;
}

static inline uint64_t receive_with(struct world *w, uint64_t packets, int touch)
{
	uint64_t done = 0, sum = 0;

	while (done < packets) {
		uint32_t rx, fill;
		uint32_t n = xsk_ring_cons__peek(&w->rx, BATCH, &rx);

		if (!n) {
			wait_readable(w);
			continue;
		}
		if (!done)
			w->first = now(CLOCK_MONOTONIC);
		while (xsk_ring_prod__reserve(&w->fill, n, &fill) != n)
			;
		for (uint32_t i = 0; i < n; i++) {
			const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&w->rx, rx++);
			uint64_t addr = desc->addr;

			sum += desc->len;
			if (touch)
				sum ^= touched(xsk_umem__get_data(w->buffer, addr));
			*xsk_ring_prod__fill_addr(&w->fill, fill++) = addr;
		}
		xsk_ring_prod__submit(&w->fill, n);
		xsk_ring_cons__release(&w->rx, n);
		done += n;
	}
	/* The sum is used, so that nothing is left out. */
	__asm__ volatile("" : : "r"(sum));
	return done;
}

static MEASURED uint64_t measured_receive(struct world *w, uint64_t packets)
{
	return receive_with(w, packets, 0);
}

static MEASURED uint64_t measured_touch(struct world *w, uint64_t packets)
{
	return receive_with(w, packets, 1);
}

static inline void complete_to_free(struct world *w)
{
	uint32_t at;
	uint32_t n = xsk_ring_cons__peek(&w->completion, BATCH, &at);

	if (!n)
		return;
	for (uint32_t i = 0; i < n; i++)
		w->free[w->free_count++] = *xsk_ring_cons__comp_addr(&w->completion, at++);
	xsk_ring_cons__release(&w->completion, n);
	w->outstanding -= n;
}

static MEASURED uint64_t measured_transmit(struct world *w, uint64_t packets, uint32_t bytes)
{
	uint64_t done = 0;

	w->first = now(CLOCK_MONOTONIC);
	while (done < packets || w->outstanding) {
		uint32_t tx, n = w->free_count < BATCH ? w->free_count : BATCH;

		if (n > packets - done)
			n = packets - done;
		if (n && xsk_ring_prod__reserve(&w->tx, n, &tx) == n) {
			for (uint32_t i = 0; i < n; i++) {
				struct xdp_desc *desc = xsk_ring_prod__tx_desc(&w->tx, tx++);

				desc->addr = w->free[--w->free_count];
				desc->len = bytes;
				desc->options = 0;
			}
			xsk_ring_prod__submit(&w->tx, n);
			w->outstanding += n;
			done += n;
		}
		if (w->outstanding && xsk_ring_prod__needs_wakeup(&w->tx))
			kick(w);
		complete_to_free(w);
	}
	return done;
}

static inline void swap_addresses(char *frame)
{
	char target[6];

	memcpy(target, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, target, 6);
}

static inline void complete_to_fill(struct world *w)
{
	uint32_t at, fill;
	uint32_t n = xsk_ring_cons__peek(&w->completion, BATCH, &at);

	if (!n)
		return;
	while (xsk_ring_prod__reserve(&w->fill, n, &fill) != n)
		;
	for (uint32_t i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(&w->fill, fill++) = *xsk_ring_cons__comp_addr(&w->completion, at++);
	xsk_ring_prod__submit(&w->fill, n);
	xsk_ring_cons__release(&w->completion, n);
	w->outstanding -= n;
}

static MEASURED uint64_t measured_forward(struct world *w, uint64_t packets)
{
	uint64_t done = 0;

	while (done < packets || w->outstanding) {
		uint32_t rx, tx, n = 0;

		complete_to_fill(w);
		if (done < packets)
			n = xsk_ring_cons__peek(&w->rx, BATCH, &rx);
		if (n) {
			if (!done)
				w->first = now(CLOCK_MONOTONIC);
			while (xsk_ring_prod__reserve(&w->tx, n, &tx) != n) {
				kick(w);
				complete_to_fill(w);
			}
			for (uint32_t i = 0; i < n; i++) {
				const struct xdp_desc *in = xsk_ring_cons__rx_desc(&w->rx, rx++);
				struct xdp_desc *out = xsk_ring_prod__tx_desc(&w->tx, tx++);

				swap_addresses(xsk_umem__get_data(w->buffer, in->addr));
				out->addr = in->addr;
				out->len = in->len;
				out->options = 0;
			}
			xsk_ring_prod__submit(&w->tx, n);
			xsk_ring_cons__release(&w->rx, n);
			w->outstanding += n;
			done += n;
		}
		if (w->outstanding) {
			if (xsk_ring_prod__needs_wakeup(&w->tx))
				kick(w);
		} else if (!n) {
			wait_readable(w);
		}
	}
	return done;
}

static void open_world(struct world *w, const char *interface, const char *mode, int receives)
{
	struct xsk_umem_config memory = {
		.fill_size = RING,
		.comp_size = RING,
		.frame_size = CHUNK,
	};
	struct xsk_socket_config config = {
		.rx_size = RING,
		.tx_size = RING,
		.libxdp_flags = receives ? 0 : XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.xdp_flags = strcmp(mode, "generic") ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	uint32_t fill;
	int error;

	w->buffer = mmap(NULL, CHUNKS * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->buffer == MAP_FAILED)
		fail("mmap", errno);
	error = xsk_umem__create(&w->umem, w->buffer, CHUNKS * CHUNK, &w->fill, &w->completion, &memory);
	if (error)
		fail("xsk_umem__create", error);
	/* The kernel frees the queue of a socket that was closed a little later. */
	for (int n = 0; n < 1000; n++) {
		error = xsk_socket__create(&w->socket, interface, 0, w->umem, receives ? &w->rx : NULL, &w->tx, &config);
		if (error != -EBUSY)
			break;
		usleep(1000);
	}
	if (error)
		fail("xsk_socket__create", error);
	w->fd = xsk_socket__fd(w->socket);
	if (xsk_ring_prod__reserve(&w->fill, RING, &fill) != RING)
		fail("fill ring", ENOSPC);
	for (uint32_t i = 0; i < RING; i++)
		*xsk_ring_prod__fill_addr(&w->fill, fill++) = i * CHUNK;
	xsk_ring_prod__submit(&w->fill, RING);
	for (uint32_t i = 0; i < RING; i++)
		w->free[w->free_count++] = (uint64_t)(RING + i) * CHUNK;
}

/* Packets that were lost at the socket. */
static uint64_t lost(struct world *w)
{
	struct xdp_statistics statistics;
	socklen_t size = sizeof(statistics);

	if (getsockopt(w->fd, SOL_XDP, XDP_STATISTICS, &statistics, &size) < 0)
		fail("getsockopt", errno);
	return statistics.rx_dropped + statistics.rx_ring_full;
}

static void print(const char *name, uint64_t number)
{
	printf("%s %llu\n", name, (unsigned long long)number);
}

int main(int argc, char **argv)
{
	static struct world w;
	uint64_t packets, done, cpu, end;
	uint32_t bytes;

	if (argc != 6) {
		fprintf(stderr, "xsk receive|touch|transmit|forward INTERFACE native|generic BYTES PACKETS\n");
		return 1;
	}
	bytes = strtoul(argv[4], NULL, 10);
	packets = strtoull(argv[5], NULL, 10);
	open_world(&w, argv[2], argv[3], strcmp(argv[1], "transmit"));
	printf("ready\n");
	fflush(stdout);

	cpu = now(CLOCK_THREAD_CPUTIME_ID);
	if (!strcmp(argv[1], "receive"))
		done = measured_receive(&w, packets);
	else if (!strcmp(argv[1], "touch"))
		done = measured_touch(&w, packets);
	else if (!strcmp(argv[1], "transmit"))
		done = measured_transmit(&w, packets, bytes);
	else
		done = measured_forward(&w, packets);
	end = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;

	print("packets", done);
	print("time", end - w.first);
	print("cpu", cpu);
	print("calls", w.calls);
	print("lost", lost(&w));
	print("done", 0);
	fflush(stdout);
	/* Nothing is sent any more when the input is at its end. */
	while (getchar() != EOF)
		;
	print("lost_in_all", lost(&w));
	/* As the kernel has it: a peek would say what it knew before. */
	if (strcmp(argv[1], "transmit"))
		print("left", __atomic_load_n(w.rx.producer, __ATOMIC_ACQUIRE) - *w.rx.consumer);
	fflush(stdout);
	xsk_socket__delete(w.socket);
	xsk_umem__delete(w.umem);
	return 0;
}
