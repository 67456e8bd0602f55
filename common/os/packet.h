/* Packets between two programs of one host: a SOCK_SEQPACKET socketpair, one protobuf message a
 * packet (proto/fairlead/v1/local.proto), a file descriptor along with it where needed
 * (SCM_RIGHTS, unix(7)).
 *
 * Invariant: a packet has 1 to PACKET_MAX bytes and arrives whole or not at all. Nothing here
 * blocks when the fd is O_NONBLOCK; otherwise send and receive wait. Any thread. */
#pragma once

#include "common/base/buf.h"
#include "common/base/err.h"

/* What pb_unpack accepts. A message carried inside another one (CallMessage.data) is therefore
 * at most PACKET_DATA_MAX bytes. */
enum { PACKET_MAX = 256 * 1024, PACKET_DATA_MAX = PACKET_MAX - 64 };

/* A connected pair, O_CLOEXEC, blocking, with buffers that hold a packet of PACKET_MAX. */
int packet_pair(int ret[2], struct err *err);

enum packet_send { PACKET_SENT = 0, PACKET_BLOCKED = 1 }; /* BLOCKED: the socket is full */
/* Send one packet, and a duplicate of pass_fd with it unless that is -1 (it stays the caller's).
 * ERR_UNREACHABLE: the other side is gone; ERR_LIMIT: empty, or over PACKET_MAX. */
int packet_send(int fd, struct bytes packet, int pass_fd, struct err *err);

enum packet_recv {
	PACKET_RECEIVED = 0,
	PACKET_EMPTY = 1,  /* nothing there yet */
	PACKET_CLOSED = 2, /* the other side closed, or is gone */
};
/* Receive one packet; ret holds it alone. *ret_fd is the passed fd (O_CLOEXEC, the caller's) or
 * -1. With ret_fd == NULL a passed fd is closed. ERR_INVALID: an oversized packet or more than
 * one fd; that packet is dropped and the socket stays usable. */
int packet_recv(int fd, struct buf *ret, int *ret_fd, struct err *err);
