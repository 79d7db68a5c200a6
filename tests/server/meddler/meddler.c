/* A module for tests: it runs commands as other modules do, with and without a user, and acts inside the
 * notifications that the server sends while a command is under way.
 *
 * It declares the few functions of the module API that it uses, so that a compiler is all it needs. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define OK 0
#define ERR 1
#define READ_WRITE 3
#define REPLY_ERROR 1
/* Every class of keyspace events, misses, loaded and new keys among them. */
#define EVERY_EVENT 0x7ffc

typedef struct Ctx Ctx;
typedef struct String String;
typedef struct Key Key;
typedef struct Reply Reply;
typedef struct User User;
typedef struct Type Type;
typedef struct { unsigned long long id, dataver; } Event;
typedef int (*Command)(Ctx *, String **, int);

/* Enough of the methods of a data type that nobody ever stores a value of. */
typedef struct {
    unsigned long long version;
    void *load, *save, *rewrite, *mem_usage, *digest, *free;
    void *unused[16];
} TypeMethods;

#define API(function, result, ...) static result (*function)(__VA_ARGS__)
API(SetModuleAttribs, void, Ctx *, const char *, int, int);
API(CreateCommand, int, Ctx *, const char *, Command, const char *, int, int, int);
API(CreateDataType, Type *, Ctx *, const char *, int, TypeMethods *);
API(SubscribeToKeyspaceEvents, int, Ctx *, int, int (*)(Ctx *, int, const char *, String *));
API(SubscribeToServerEvent, int, Ctx *, Event, void (*)(Ctx *, Event, unsigned long long, void *));
API(Calloc, void *, size_t, size_t);
API(Free, void, void *);
API(StringPtrLen, const char *, const String *, size_t *);
API(CreateString, String *, Ctx *, const char *, size_t);
API(FreeString, void, Ctx *, String *);
API(ReplyWithError, int, Ctx *, const char *);
API(ReplyWithSimpleString, int, Ctx *, const char *);
API(ReplyWithStringBuffer, int, Ctx *, const char *, size_t);
API(ReplyWithLongLong, int, Ctx *, long long);
API(ReplyWithArray, int, Ctx *, long);
API(ReplyWithCallReply, int, Ctx *, Reply *);
API(FreeCallReply, void, Reply *);
API(CallReplyType, int, Reply *);
API(CallReplyStringPtr, const char *, Reply *, size_t *);
API(OpenKey, Key *, Ctx *, String *, int);
API(CloseKey, void, Key *);
API(DeleteKey, int, Key *);
API(StringSet, int, Key *, String *);
API(GetDetachedThreadSafeContext, Ctx *, Ctx *);
API(FreeThreadSafeContext, void, Ctx *);
API(SetContextUser, void, Ctx *, const User *);
API(GetModuleUserFromUserName, User *, String *);
API(FreeModuleUser, void, User *);
static Reply *(*Call)(Ctx *, const char *, const char *, ...);
static int (*Replicate)(Ctx *, const char *, const char *, ...);

static int get_api(Ctx *ctx) {
    /* The function that finds the others stands at the start of every context. */
    int (*get)(const char *, void *) = *(int (**)(const char *, void *))ctx;
    int failed = 0;
#define GET(function) failed |= get("RedisModule_" #function, (void *)&function)
    GET(SetModuleAttribs); GET(CreateCommand); GET(CreateDataType); GET(SubscribeToKeyspaceEvents);
    GET(SubscribeToServerEvent); GET(StringPtrLen); GET(CreateString); GET(FreeString); GET(ReplyWithError);
    GET(ReplyWithSimpleString); GET(ReplyWithStringBuffer); GET(ReplyWithLongLong); GET(ReplyWithArray); GET(ReplyWithCallReply);
    GET(FreeCallReply); GET(CallReplyType); GET(CallReplyStringPtr); GET(OpenKey); GET(CloseKey);
    GET(Calloc); GET(Free); GET(DeleteKey); GET(StringSet); GET(GetDetachedThreadSafeContext); GET(FreeThreadSafeContext);
    GET(SetContextUser); GET(GetModuleUserFromUserName); GET(FreeModuleUser); GET(Call);
    GET(Replicate);
    return failed;
}

static const char *text(const String *string) { return StringPtrLen(string, NULL); }

/* Runs a command: `flags` are modifiers of the server's call format, such as "C" or "!", or "-" for none. */
static Reply *run(Ctx *ctx, const char *flags, String **words, int count) {
    char format[16];
    snprintf(format, sizeof format, "Ev%s", strcmp(flags, "-") ? flags : "");
    return Call(ctx, text(words[0]), format, words + 1, (size_t)(count - 1));
}

static int reply(Ctx *ctx, Reply *answer) {
    if (answer == NULL) {
        char line[64];
        snprintf(line, sizeof line, "MEDDLER the call failed: %s", strerror(errno));
        return ReplyWithError(ctx, line);
    }
    int status = ReplyWithCallReply(ctx, answer);
    FreeCallReply(answer);
    return status;
}

/* MEDDLER.CALL flags command [arg ...]: as a module's command does. */
static int call(Ctx *ctx, String **words, int count) {
    return count < 3 ? ReplyWithError(ctx, "MEDDLER flags command [arg ...]")
                     : reply(ctx, run(ctx, text(words[1]), words + 2, count - 2));
}

/* MEDDLER.DETACHED user flags command [arg ...]: as a module's timer or thread does, for a user or for nobody, "-". */
static int detached(Ctx *ctx, String **words, int count) {
    if (count < 4) return ReplyWithError(ctx, "MEDDLER user flags command [arg ...]");
    User *user = strcmp(text(words[1]), "-") ? GetModuleUserFromUserName(words[1]) : NULL;
    Ctx *own = GetDetachedThreadSafeContext(ctx);
    if (user != NULL) SetContextUser(own, user);
    Reply *answer = run(own, text(words[2]), words + 3, count - 3);
    int status = reply(ctx, answer);
    FreeThreadSafeContext(own);
    if (user != NULL) FreeModuleUser(user);
    return status;
}

/* MEDDLER.REPLICATE command [arg ...]: as a module's command does that sends its replicas something else. */
static int replicate(Ctx *ctx, String **words, int count) {
    if (count < 2) return ReplyWithError(ctx, "MEDDLER command [arg ...]");
    Replicate(ctx, text(words[1]), "v", words + 2, (size_t)(count - 2));
    return ReplyWithSimpleString(ctx, "OK");
}

static long long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* MEDDLER.WAIT milliseconds: the server does nothing else until the clock shows as many more. */
static int wait_for(Ctx *ctx, String **words, int count) {
    long long until = milliseconds() + (count == 2 ? atoi(text(words[1])) : 0);
    while (milliseconds() < until) usleep(50);
    return ReplyWithSimpleString(ctx, "OK");
}

/* What to do inside a notification. */
typedef struct {
    char *event, *key;
    int times, count;
    char **words;
    size_t *lengths;
} Rule;

#define MANY 32
static Rule rules[MANY];
static int rule_count;
/* What was done, and what was answered with an error. */
#define SEEN 256
static char *seen[SEEN];
static int seen_count;

static char *copy(const char *start, size_t length) {
    char *bytes = Calloc(1, length + 1);
    memcpy(bytes, start, length);
    return bytes;
}

static void note(const char *what, const char *event, const char *more, size_t length) {
    if (seen_count == SEEN) return;
    char line[512];
    int used = snprintf(line, sizeof line, "%s %s %.*s", what, event, (int)(length > 300 ? 300 : length), more);
    seen[seen_count++] = copy(line, (size_t)used);
}

/* MEDDLER.WHEN event key times action [arg ...]: the action is CALL flags command [arg ...], where {key} stands
 * for the event's key; or DELETE or STRING, which do it to that key through a handle. "*" is any event of a
 * key, or any key, and !event is any event of a key but this one. */
static int when(Ctx *ctx, String **words, int count) {
    if (count < 5 || rule_count == MANY) return ReplyWithError(ctx, "MEDDLER event key times action [arg ...]");
    Rule *rule = &rules[rule_count++];
    rule->event = copy(text(words[1]), strlen(text(words[1])));
    rule->key = copy(text(words[2]), strlen(text(words[2])));
    rule->times = atoi(text(words[3]));
    rule->count = count - 4;
    rule->words = Calloc((size_t)rule->count, sizeof *rule->words);
    rule->lengths = Calloc((size_t)rule->count, sizeof *rule->lengths);
    for (int at = 0; at < rule->count; at++) {
        size_t length;
        const char *start = StringPtrLen(words[4 + at], &length);
        rule->words[at] = copy(start, length);
        rule->lengths[at] = length;
    }
    return ReplyWithSimpleString(ctx, "OK");
}

/* MEDDLER.SEEN: how much was seen. */
static int seen_so_far(Ctx *ctx, String **words, int count) {
    (void)words, (void)count;
    return ReplyWithLongLong(ctx, seen_count);
}

/* MEDDLER.FORGET: no rules; answers what was seen since the last time. */
static int forget(Ctx *ctx, String **words, int count) {
    (void)words, (void)count;
    for (int at = 0; at < rule_count; at++) {
        for (int word = 0; word < rules[at].count; word++) Free(rules[at].words[word]);
        Free(rules[at].words);
        Free(rules[at].lengths);
        Free(rules[at].event);
        Free(rules[at].key);
    }
    rule_count = 0;
    ReplyWithArray(ctx, seen_count);
    for (int at = 0; at < seen_count; at++) {
        ReplyWithStringBuffer(ctx, seen[at], strlen(seen[at]));
        Free(seen[at]);
    }
    seen_count = 0;
    return OK;
}

static void act(Ctx *ctx, Rule *rule, const char *event, const char *key, size_t key_length) {
    /* Copied: in some notifications the server hands out a name that nobody may keep or open. */
    String *name = key == NULL ? NULL : CreateString(NULL, key, key_length);
    if (!strcasecmp(rule->words[0], "CALL") && rule->count > 2) {
        int count = rule->count - 2;
        String **words = Calloc((size_t)count, sizeof *words);
        for (int at = 0; at < count; at++) {
            const char *word = rule->words[at + 2];
            int is_key = name != NULL && !strcmp(word, "{key}");
            words[at] = is_key ? CreateString(NULL, key, key_length)
                               : CreateString(NULL, word, rule->lengths[at + 2]);
        }
        Reply *answer = run(ctx, rule->words[1], words, count);
        if (answer == NULL) {
            note("failed", event, strerror(errno), strlen(strerror(errno)));
        } else {
            size_t length = 0;
            const char *error = CallReplyType(answer) == REPLY_ERROR ? CallReplyStringPtr(answer, &length) : "";
            note(length ? "error" : "did", event, length ? error : text(words[0]), length ? length : strlen(text(words[0])));
            FreeCallReply(answer);
        }
        for (int at = 0; at < count; at++) FreeString(NULL, words[at]);
        Free(words);
    } else if (name != NULL) {
        Key *open = OpenKey(ctx, name, READ_WRITE);
        if (!strcasecmp(rule->words[0], "DELETE")) DeleteKey(open);
        if (!strcasecmp(rule->words[0], "STRING")) {
            String *value = CreateString(NULL, "a string", 8);
            StringSet(open, value);
            FreeString(NULL, value);
        }
        CloseKey(open);
        note("did", event, rule->words[0], strlen(rule->words[0]));
    }
    if (name != NULL) FreeString(NULL, name);
}

static void happened(Ctx *ctx, const char *event, const char *key, size_t key_length) {
    /* An action that fires events of its own is answered by no action. */
    static int acting;
    if (acting) return;
    for (int at = 0; at < rule_count; at++) {
        Rule *rule = &rules[at];
        int event_fits = (!strcmp(rule->event, "*") && key != NULL) ||
                         (rule->event[0] == '!' && key != NULL && strcasecmp(rule->event + 1, event)) ||
                         !strcasecmp(rule->event, event);
        int key_fits = !strcmp(rule->key, "*") || (key != NULL && !strcmp(rule->key, key));
        if (!event_fits || !key_fits || rule->times <= 0) continue;
        rule->times--;
        acting = 1;
        act(ctx, rule, event, key, key_length);
        acting = 0;
    }
}

static int on_keyspace_event(Ctx *ctx, int class, const char *event, String *key) {
    (void)class;
    size_t length;
    const char *start = StringPtrLen(key, &length);
    char *name = copy(start, length);
    happened(ctx, event, name, length);
    Free(name);
    return OK;
}

/* A server event is called server:ID:SUBEVENT. */
static void on_server_event(Ctx *ctx, Event event, unsigned long long subevent, void *data) {
    (void)data;
    char name[64];
    snprintf(name, sizeof name, "server:%llu:%llu", event.id, subevent);
    happened(ctx, name, NULL, 0);
}

/* A command of another module under a name of its choice. */
static int stranger(Ctx *ctx, String **words, int count) {
    (void)words, (void)count;
    return ReplyWithSimpleString(ctx, "STRANGER");
}

/* Arguments: TYPE name and COMMAND name take a data type's or a command's name before another module can. */
int RedisModule_OnLoad(Ctx *ctx, String **words, int count) {
    if (get_api(ctx)) return ERR;
    SetModuleAttribs(ctx, "meddler", 1, 1);
    int failed = CreateCommand(ctx, "meddler.call", call, "", 0, 0, 0) ||
                 CreateCommand(ctx, "meddler.detached", detached, "", 0, 0, 0) ||
                 CreateCommand(ctx, "meddler.replicate", replicate, "", 0, 0, 0) ||
                 CreateCommand(ctx, "meddler.wait", wait_for, "", 0, 0, 0) ||
                 CreateCommand(ctx, "meddler.when", when, "", 0, 0, 0) ||
                 CreateCommand(ctx, "meddler.seen", seen_so_far, "", 0, 0, 0) ||
                 CreateCommand(ctx, "meddler.forget", forget, "", 0, 0, 0);
    for (int at = 0; at + 1 < count; at += 2) {
        static TypeMethods methods = {.version = 1};
        if (!strcasecmp(text(words[at]), "TYPE")) failed |= !CreateDataType(ctx, text(words[at + 1]), 0, &methods);
        if (!strcasecmp(text(words[at]), "COMMAND"))
            failed |= CreateCommand(ctx, text(words[at + 1]), stranger, "", 0, 0, 0);
    }
    failed |= SubscribeToKeyspaceEvents(ctx, EVERY_EVENT, on_keyspace_event);
    /* The server refuses those that it does not have. */
    for (unsigned long long id = 0; id < 20; id++)
        (void)SubscribeToServerEvent(ctx, (Event){id, 1}, on_server_event);
    return failed ? ERR : OK;
}
