/* serve: the smallest service worth deploying a thousand times. Answers every request on port
 * $PORT of loopback with what `answer` of its release says; a release that says "broken" ends at
 * once. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 256 };

static size_t read_answer(char *answer)
{
	int fd = open("answer", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, answer, ANSWER_MAX);
	if (fd >= 0)
		close(fd);
	return n < 0 ? 0 : (size_t)n;
}

static int listen_on(const char *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port ? port : "0", NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, 16) < 0) {
		perror("serve");
		exit(1);
	}
	return fd;
}

static void answer_one(int connection, const char *answer, size_t len)
{
	char request[4096], head[64];
	if (read(connection, request, sizeof(request)) > 0) {
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
		if (write(connection, head, strlen(head)) < 0 || write(connection, answer, len) < 0)
			perror("serve");
	}
	close(connection);
}

int main(void)
{
	char answer[ANSWER_MAX];
	size_t len = read_answer(answer);
	signal(SIGPIPE, SIG_IGN);
	if (len >= 6 && memcmp(answer, "broken", 6) == 0)
		return 7;
	int listener = listen_on(getenv("PORT"));
	for (;;) {
		int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (connection >= 0)
			answer_one(connection, answer, len);
	}
}
