/* A tiny HTTP server in a process of its own, on a free port of loopback, for the probe tests.
 * The path decides the answer; see the table. */
#pragma once

#include "common/base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct http_server {
	pid_t pid;
	unsigned port;
};

static const struct {
	const char *path, *answer;
	size_t filler; /* bytes of 'x' after it */
} http_server_table[] = {
	{"/health", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall \x1bgood", 0},
	{"/broken", "HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\nno db :(", 0},
	{"/moved", "HTTP/1.1 302 Found\r\nLocation: /health\r\nContent-Length: 0\r\n\r\n", 0},
	{"/big", "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\nbig: ", 1999995},
	{"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", 0},
	{"/garbage", "this is not HTTP\r\n\r\n", 0},
	{"/silent", NULL, 0}, /* accepts, and never answers */
};

static inline void http_server_answer(int fd)
{
	char request[2048] = "";
	ssize_t n = recv(fd, request, sizeof(request) - 1, 0);
	char filler[4096];
	memset(filler, 'x', sizeof(filler));
	for (size_t i = 0; n > 0 && i < ARRAY_LEN(http_server_table); i++) {
		const char *path = http_server_table[i].path, *text = http_server_table[i].answer;
		if (strncmp(request, "GET ", 4) != 0 ||
			strncmp(request + 4, path, strlen(path)) != 0)
			continue;
		if (!text) {
			recv(fd, request, sizeof(request), 0); /* until the client goes */
			break;
		}
		send(fd, text, strlen(text), MSG_NOSIGNAL);
		for (size_t left = http_server_table[i].filler; left > 0;) {
			size_t len = left < sizeof(filler) ? left : sizeof(filler);
			ssize_t sent = send(fd, filler, len, MSG_NOSIGNAL);
			if (sent <= 0)
				break;
			left -= (size_t)sent;
		}
	}
	close(fd);
}

static inline void http_server_serve(int fd)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int client = accept(fd, NULL, NULL);
		if (client < 0)
			_exit(1);
		if (fork() == 0) {
			http_server_answer(client);
			_exit(0);
		}
		close(client);
	}
}

/* A bound port; connections are refused until somebody listens. */
static inline int http_server_listen(unsigned *ret_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static inline void http_server_start(struct http_server *server)
{
	int fd = http_server_listen(&server->port);
	assert_int_equal(listen(fd, 16), 0);
	server->pid = fork();
	if (server->pid == 0) {
		setpgid(0, 0);
		http_server_serve(fd);
	}
	setpgid(server->pid, server->pid);
	close(fd);
}

static inline void http_server_stop(struct http_server *server)
{
	kill(-server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
}
