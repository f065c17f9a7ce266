/* An extension that registers, prints what it is told, and ends when it is told to.
 * The variable EXTENSION makes it misbehave: `crash` at the first event. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[1 << 16];

/* Sends one request to the Extensions API and leaves the whole answer in `answer`. */
static void ask(const char *method, const char *path, const char *headers, const char *body) {
    char host[64];
    snprintf(host, sizeof host, "%s", getenv("AWS_LAMBDA_RUNTIME_API"));
    char *colon = strchr(host, ':');
    *colon = 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    inet_pton(AF_INET, host, &to.sin_addr);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&to, sizeof to) != 0) exit(90);
    dprintf(connection, "%s /2020-01-01/extension/%s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
        method, path, host, headers, strlen(body), body);
    size_t all = 0;
    ssize_t part;
    while ((part = read(connection, answer + all, sizeof answer - all - 1)) > 0) all += part;
    answer[all] = 0;
    close(connection);
}

/* The text behind a name of the answer's body. */
static void text(const char *name, char *value) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"%s\":\"", name);
    char *found = strstr(answer, wanted);
    *value = 0;
    if (found) sscanf(found + strlen(wanted), "%127[^\"]", value);
}

int main(int count, char **arguments) {
    char headers[512], id[128] = "", what[128], detail[128];
    const char *misbehaviour = getenv("EXTENSION"), *name = strrchr(arguments[0], '/') + 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* So that the function can tell that it was there first. */
    close(open("/tmp/extension", O_CREAT | O_WRONLY, 0644));
    printf("%s has %s handler\n", name, getenv("_HANDLER") ? "a" : "no");
    snprintf(headers, sizeof headers, "Lambda-Extension-Name: %s\r\n", name);
    if (misbehaviour && strcmp(misbehaviour, "exit") == 0) return 6;
    ask("POST", "register", headers, "{\"events\":[\"INVOKE\",\"SHUTDOWN\"]}");
    char *line = strcasestr(answer, "lambda-extension-identifier:");
    if (!line) return 91;
    sscanf(line + strlen("lambda-extension-identifier:"), " %127[^\r]", id);
    snprintf(headers, sizeof headers, "Lambda-Extension-Identifier: %s\r\n", id);
    for (;;) {
        ask("GET", "event/next", headers, "");
        if (misbehaviour && strcmp(misbehaviour, "crash") == 0) return 5;
        text("eventType", what);
        text(strcmp(what, "INVOKE") == 0 ? "requestId" : "shutdownReason", detail);
        printf("%s is told of %s %s\n", name, what, detail);
        if (strcmp(what, "INVOKE") != 0) return 0;
    }
}
