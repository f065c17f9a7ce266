/* A Lambda function that speaks the Runtime API by hand. The event says what it does:
 * {"do":"echo"} answers with the event; see `handle` for the rest. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

extern char **environ;
static char buffer[8 << 20];

/* A connection to a port of a host. */
static int reach(const char *host, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&to, sizeof to) != 0) exit(90);
    return connection;
}

/* A connection to the Runtime API, and its host. */
static int reach_api(char *host, size_t size) {
    snprintf(host, size, "%s", getenv("AWS_LAMBDA_RUNTIME_API"));
    char *colon = strchr(host, ':');
    *colon = 0;
    return reach(host, atoi(colon + 1));
}

/* Sends one request and leaves the whole answer in `buffer`; returns its length. */
static size_t ask(const char *method, const char *path, const char *headers, const char *body, size_t length) {
    char host[64], head[1024];
    int connection = reach_api(host, sizeof host);
    int count = snprintf(head, sizeof head,
        "%s /2018-06-01/runtime/%s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
        method, path, host, headers, length);
    write(connection, head, count);
    for (size_t sent = 0; sent < length;) {
        ssize_t part = write(connection, body + sent, length - sent);
        if (part <= 0) break;
        sent += part;
    }
    size_t all = 0;
    ssize_t part;
    while ((part = read(connection, buffer + all, sizeof buffer - all - 1)) > 0) all += part;
    buffer[all] = 0;
    close(connection);
    return all;
}

static void header(const char *name, char *value, size_t size) {
    *value = 0;
    for (char *line = strstr(buffer, "\r\n"); line && strncmp(line, "\r\n\r\n", 4) != 0; line = strstr(line + 2, "\r\n")) {
        size_t length = strlen(name);
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') {
            char *from = line + 3 + length, *to = strstr(from, "\r\n");
            while (*from == ' ') from++;
            snprintf(value, size, "%.*s", (int)(to - from), from);
            return;
        }
    }
}

static int does(const char *event, const char *what) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"do\":\"%s\"", what);
    return strstr(event, wanted) != NULL;
}

/* The number behind a name in the event; 0 where there is none. */
static int number(const char *event, const char *name) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"%s\":", name);
    const char *found = strstr(event, wanted);
    if (!found) return 0;
    found += strlen(wanted);
    return atoi(*found == '"' ? found + 1 : found);
}

static void chunk(int connection, const char *bytes, size_t length) {
    dprintf(connection, "%zx\r\n", length);
    for (size_t sent = 0; sent < length;) {
        ssize_t part = write(connection, bytes + sent, length - sent);
        if (part <= 0) return;
        sent += part;
    }
    write(connection, "\r\n", 2);
}

/* Answers piece by piece. Between two pieces it waits until whoever listens on the port `wait`
 * closes the connection; `megabytes` more of them follow; then it does what the event says. */
static void stream(const char *id, const char *event) {
    static const char head[] = "{\"statusCode\":202,\"headers\":{\"content-type\":\"text/plain\",\"x-own\":\"yes\"}}\0\0\0\0\0\0\0";
    static char block[1 << 20];
    char host[64];
    int connection = reach_api(host, sizeof host), has_head = strstr(event, "with-head") != NULL;
    dprintf(connection,
        "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: %s\r\nConnection: close\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n",
        id, host, has_head ? "application/vnd.awslambda.http-integration-response" : "text/x-own");
    if (has_head) chunk(connection, head, sizeof head);
    chunk(connection, "one ", 4);
    int port = number(event, "wait");
    if (port) {
        char byte;
        int waiting = reach("127.0.0.1", port);
        read(waiting, &byte, 1);
        close(waiting);
    }
    memset(block, 'x', sizeof block);
    for (int left = number(event, "megabytes"); left > 0; left--) chunk(connection, block, sizeof block);
    if (strstr(event, "crash")) exit(9);
    if (strstr(event, "silent")) sleep(60);
    if (strstr(event, "fail")) {
        /* {"errorType":"Stream.Broken","errorMessage":"on the way"} */
        dprintf(connection, "0\r\nLambda-Runtime-Function-Error-Type: Stream.Broken\r\n"
            "Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJTdHJlYW0uQnJva2VuIiwiZXJyb3JNZXNzYWdlIjoib24gdGhlIHdheSJ9\r\n\r\n");
    } else {
        chunk(connection, "two", 3);
        dprintf(connection, "0\r\n\r\n");
    }
    while (read(connection, buffer, sizeof buffer) > 0) {}
    close(connection);
}

/* The value of a line of /proc/self/status, without blanks. */
static void status(const char *name, char *value) {
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    strcpy(value, "none");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0) sscanf(line + strlen(name), ": %s", value);
    if (file) fclose(file);
}

/* The names in a directory, each with a blank behind it; only numbers where asked. */
static void list(const char *path, int numbers, char *names) {
    struct dirent *entry;
    DIR *directory = opendir(path);
    *names = 0;
    while (directory && (entry = readdir(directory)))
        if (entry->d_name[0] != '.' && (!numbers || (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')))
            strcat(strcat(names, entry->d_name), " ");
    if (directory) closedir(directory);
}

int main(int count, char **arguments) {
    static char event[1 << 20], answer[1 << 20];
    char id[128], path[256], extra[512];
    int served = 0, was_extension_there = access("/tmp/extension", F_OK) == 0;
    const char *init = getenv("INIT");
    if (init && strcmp(init, "slow") == 0) sleep(60);
    if (init && strcmp(init, "exit") == 0) exit(3);
    if (init && strcmp(init, "work") == 0) return puts("the work is done"), 0;
    if (init && strcmp(init, "crash") == 0) fprintf(stderr, "about to crash\n"), *(volatile int *)16 = 1;
    if (init && strcmp(init, "tell") == 0) {
        struct statvfs room;
        char directory[256];
        statvfs("/tmp", &room);
        printf("memory %s, argument %s, in %s, /tmp %lu MB, uid %d\n", getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
            count > 1 ? arguments[1] : "none", getcwd(directory, sizeof directory), room.f_blocks * room.f_frsize >> 20, getuid());
        return 4;
    }
    if (init && strcmp(init, "memory") == 0)
        for (int block = 0; block < 1000; block++) memset(malloc(1 << 20), 1, 1 << 20);
    if (init && strcmp(init, "error") == 0) {
        const char *error = "{\"errorType\":\"Init.Broken\",\"errorMessage\":\"no settings\"}";
        ask("POST", "init/error", "Lambda-Runtime-Function-Error-Type: Init.Broken\r\n", error, strlen(error));
        sleep(60);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (;;) {
        ask("GET", "invocation/next", "", "", 0);
        header("Lambda-Runtime-Aws-Request-Id", id, sizeof id);
        header("Lambda-Runtime-Client-Context", extra, sizeof extra);
        char *body = strstr(buffer, "\r\n\r\n");
        snprintf(event, sizeof event, "%s", body ? body + 4 : "");
        served++;
        snprintf(path, sizeof path, "invocation/%s/response", id);
        if (does(event, "exit")) exit(7);
        if (does(event, "sleep")) sleep(60);
        if (does(event, "memory")) {
            for (int blocks = 0; blocks < 1000; blocks++) {
                char *block = malloc(1 << 20);
                if (!block) exit(91);
                memset(block, blocks, 1 << 20);
            }
        }
        if (does(event, "error")) {
            const char *error = "{\"errorType\":\"Own.Error\",\"errorMessage\":\"as asked\",\"stackTrace\":[\"at main\"]}";
            snprintf(path, sizeof path, "invocation/%s/error", id);
            ask("POST", path, "Lambda-Runtime-Function-Error-Type: Own.Error\r\n", error, strlen(error));
            continue;
        }
        if (does(event, "large")) {
            size_t length = 7 << 20;
            char *large = malloc(length);
            memset(large, 'x', length);
            large[0] = large[length - 1] = '"';
            ask("POST", path, "", large, length);
            free(large);
            continue;
        }
        if (does(event, "stream")) {
            stream(id, event);
            continue;
        }
        if (does(event, "log")) {
            printf("a line of output\n");
            fprintf(stderr, "a line of error\n");
        }
        if (does(event, "environment")) {
            int used = snprintf(answer, sizeof answer, "{");
            for (char **variable = environ; *variable; variable++) {
                char *equals = strchr(*variable, '=');
                used += snprintf(answer + used, sizeof answer - used, "%s\"%.*s\":\"%s\"",
                    variable == environ ? "" : ",", (int)(equals - *variable), *variable, equals + 1);
            }
            snprintf(answer + used, sizeof answer - used, "}");
        } else if (does(event, "system")) {
            int root = open("/file", O_CREAT | O_WRONLY, 0600);
            int why = errno;
            int tmp = open("/tmp/file", O_CREAT | O_WRONLY, 0600);
            char directory[256];
            snprintf(answer, sizeof answer,
                "{\"uid\":%d,\"gid\":%d,\"root\":\"%s\",\"tmp\":%s,\"directory\":\"%s\",\"arguments\":%d,\"argument\":\"%s\"}",
                getuid(), getgid(), root < 0 ? strerror(why) : "written", tmp < 0 ? "false" : "true",
                getcwd(directory, sizeof directory), count, count > 1 ? arguments[1] : "");
        } else if (does(event, "inside")) {
            char effective[64], bounding[64], privileges[64], groups[256], root[4096], dev[4096], processes[4096];
            status("CapEff", effective), status("CapBnd", bounding), status("NoNewPrivs", privileges), status("Groups", groups);
            list("/", 0, root), list("/dev", 0, dev), list("/proc", 1, processes);
            int null = open("/dev/null", O_WRONLY), output = open("/dev/stderr", O_WRONLY);
            int shared = open("/dev/shm/file", O_CREAT | O_WRONLY, 0600), device = open("/dev/file", O_CREAT | O_WRONLY, 0600);
            snprintf(answer, sizeof answer,
                "{\"effective\":\"%s\",\"bounding\":\"%s\",\"privileges\":\"%s\",\"root\":\"%s\",\"dev\":\"%s\",\"processes\":\"%s\","
                "\"null\":%d,\"output\":%d,\"shared\":%d,\"device\":%d,\"su\":%d,\"init\":%d}",
                effective, bounding, privileges, root, dev, processes, write(null, "x", 1) == 1, write(output, "to stderr\n", 10) == 10,
                shared >= 0, device >= 0, setuid(0) == 0, open("/proc/1/environ", O_RDONLY) >= 0);
            close(null), close(output);
        } else if (does(event, "data")) {
            char line[256] = "";
            FILE *data = fopen("/data", "r");
            if (data && fgets(line, sizeof line, data)) line[strcspn(line, "\n")] = 0;
            if (data) fclose(data);
            printf("data is %s\n", line);
            snprintf(answer, sizeof answer, "\"%s\"", line);
        } else if (does(event, "page")) {
            snprintf(answer, sizeof answer,
                "{\"statusCode\":201,\"headers\":{\"content-type\":\"text/html\"},\"cookies\":[\"a=b\",\"c=d\"],"
                "\"body\":\"PGI+aGk8L2I+\",\"isBase64Encoded\":true}");
        } else if (does(event, "fill")) {
            /* Into /tmp until there is no room. */
            static char block[1 << 20];
            int file = open("/tmp/full", O_CREAT | O_WRONLY, 0600), blocks = 0;
            while (write(file, block, sizeof block) == sizeof block) blocks++;
            snprintf(answer, sizeof answer, "{\"megabytes\":%d,\"why\":\"%s\"}", blocks, strerror(errno));
            close(file), unlink("/tmp/full");
        } else if (does(event, "child")) {
            /* One that leaves its parent. */
            int child = fork();
            if (child == 0) {
                setsid();
                if (fork() == 0) sleep(600);
                _exit(0);
            }
            snprintf(answer, sizeof answer, "{\"child\":%d}", child);
        } else if (does(event, "extension")) {
            snprintf(answer, sizeof answer, "{\"before\":%s,\"now\":%s}", was_extension_there ? "true" : "false",
                access("/tmp/extension", F_OK) == 0 ? "true" : "false");
        } else if (does(event, "who")) {
            snprintf(answer, sizeof answer, "{\"id\":\"%s\",\"served\":%d,\"context\":%s}", id, served, *extra ? extra : "null");
        } else {
            snprintf(answer, sizeof answer, "%s", event);
        }
        ask("POST", path, "", answer, strlen(answer));
        if (does(event, "last")) exit(0);
    }
}
