/* spool_db: see the header. */
#include "spool_db.h"

#include "base/hash.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A change of the tables, or of enum video_codec, is another SPOOL_VERSION. */
#define PAGE_BYTES 4096u
#define APPLICATION_ID 1920299891 /* "rus" and a bit: no other program's file */
/* Pages that a frame may take beside its bytes: a row, its indexes, the tree above them. */
#define FRAME_EXTRA_BYTES ((size_t)8 * PAGE_BYTES)
/* Kept free for what has to be written to make room: marks, and rows that are changed. */
#define RESERVE_BYTES ((size_t)64 * PAGE_BYTES)
#define WAL_BYTES_MAX "8388608"

static const char schema[] =
    "CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " next_number INTEGER NOT NULL);"
    "CREATE TABLE frame (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, number INTEGER NOT NULL,"
    " keyframe INTEGER NOT NULL, answered INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " picture_group INTEGER NOT NULL, capture_ns INTEGER NOT NULL, capture_unix_us INTEGER NOT "
    "NULL,"
    " encode_us INTEGER NOT NULL, codec INTEGER NOT NULL, width INTEGER NOT NULL,"
    " height INTEGER NOT NULL, camera_width INTEGER NOT NULL, camera_height INTEGER NOT NULL,"
    " hash INTEGER NOT NULL);"
    /* Apart, so that a row that is changed is a short one. */
    "CREATE TABLE packet (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE UNIQUE INDEX frame_number ON frame (stream, number);"
    "CREATE INDEX frame_waiting ON frame (stream, number) WHERE answered = 0;"
    "CREATE TABLE answers (id INTEGER PRIMARY KEY, inode INTEGER NOT NULL, bytes INTEGER NOT NULL);"
    "INSERT INTO answers VALUES (1, 0, 0);"
    "PRAGMA user_version = 1;";

#define STATEMENTS(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(FLIP_MARK, "UPDATE answers SET bytes = -1 - bytes WHERE id = 1")                             \
    X(PAGES, "PRAGMA page_count")                                                                  \
    X(FREE_PAGES, "PRAGMA freelist_count")                                                         \
    X(ADD_STREAM, "INSERT OR IGNORE INTO stream (name, next_number) VALUES (?1, 0)")               \
    X(FIND_STREAM,                                                                                 \
      "SELECT id, next_number,"                                                                    \
      " (SELECT count(*) FROM frame WHERE stream = s.id AND answered = 0),"                        \
      " (SELECT picture_group FROM frame WHERE stream = s.id ORDER BY number DESC LIMIT 1)"        \
      " FROM stream s WHERE name = ?1")                                                            \
    X(PUT_FRAME,                                                                                   \
      "INSERT INTO frame (stream, number, keyframe, answered, tries, picture_group,"               \
      " capture_ns, capture_unix_us, encode_us, codec, width, height, camera_width,"               \
      " camera_height, hash) VALUES (?1, ?2, ?3, 0, 0, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"          \
      " ?12, ?13)")                                                                                \
    X(PUT_PACKET, "INSERT INTO packet (id, bytes) VALUES (?1, ?2)")                                \
    X(SET_NEXT, "UPDATE stream SET next_number = ?2 WHERE id = ?1")                                \
    X(ANSWER, "UPDATE frame SET answered = 1 WHERE stream = ?1 AND number = ?2 AND answered = 0"   \
              " RETURNING picture_group")                                                          \
    X(TRY, "UPDATE frame SET tries = tries + 1 WHERE stream = ?1 AND number = ?2 AND answered = 0" \
           " RETURNING tries")                                                                     \
    X(FIRST_WAITING, "SELECT number, picture_group FROM frame WHERE stream = ?1 AND number >= ?2"  \
                     " AND answered = 0 ORDER BY number LIMIT 1")                                  \
    X(READ, "SELECT f.number, keyframe, answered, picture_group, capture_ns, capture_unix_us,"     \
            " encode_us, codec, width, height, camera_width, camera_height, hash, bytes"           \
            " FROM frame f JOIN packet p ON p.id = f.id"                                           \
            " WHERE stream = ?1 AND number >= ?2 ORDER BY number LIMIT 1")                         \
    X(OLDEST, "SELECT stream, picture_group, capture_unix_us FROM frame ORDER BY id LIMIT 1")      \
    X(COUNT_WAITING,                                                                               \
      "SELECT count(*) FROM frame WHERE stream = ?1 AND number >= ?2 AND number < ?3"              \
      " AND answered = 0")                                                                         \
    X(NEXT_GROUP, "SELECT number FROM frame WHERE stream = ?1 AND number > ?2 AND keyframe = 1"    \
                  " ORDER BY number LIMIT 1")                                                      \
    X(DROP_PACKETS, "DELETE FROM packet WHERE id IN (SELECT id FROM frame WHERE stream = ?1"       \
                    " AND number >= ?2 AND number < ?3)")                                          \
    X(DROP_FRAMES, "DELETE FROM frame WHERE stream = ?1 AND number >= ?2 AND number < ?3")         \
    X(GET_MARK, "SELECT inode, bytes FROM answers WHERE id = 1")                                   \
    X(SET_MARK, "UPDATE answers SET inode = ?1, bytes = ?2 WHERE id = 1")                          \
    X(OLDEST_WAITING, "SELECT capture_unix_us FROM frame NOT INDEXED WHERE answered = 0"           \
                      " ORDER BY id LIMIT 1")

enum statement {
#define X(name, text) STATEMENT_##name,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT
};

static const char *const statement_texts[] = {
#define X(name, text) [STATEMENT_##name] = (text),
    STATEMENTS(X)
#undef X
};

struct spool_db {
    sqlite3 *sqlite;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    char *path;
    uint64_t bytes_max;
    bool unsettled; /* a commit failed: see spool_db_settle */
};

static int prepare_all(struct spool_db *db, struct error *err);
static int set_up(struct spool_db *db, struct error *err);
static int fail(const struct spool_db *db, const char *doing, struct error *err);
static int run(struct spool_db *db, enum statement statement, struct error *err);
static int drop_group(struct spool_db *db, struct spool_loss *loss, struct error *err);
static int drop_if_answered(struct spool_db *db, const struct spool_place *place, uint64_t group,
                            struct error *err);

int spool_db_open(struct spool_db **out, const char *path, uint64_t bytes_max, struct error *err)
{
    struct spool_db *db = calloc(1, sizeof *db);
    if (!db || !(db->path = strdup(path))) {
        free(db);
        return error_set(err, ERROR_MEMORY, "spool", "no memory");
    }
    db->bytes_max = bytes_max;
    int result = 0;
    if (sqlite3_open_v2(path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
        SQLITE_OK)
        result = fail(db, "cannot be opened", err);
    if (result == 0)
        result = set_up(db, err);
    if (result == 0)
        result = prepare_all(db, err);
    if (result != 0) {
        spool_db_close(&db);
        return result;
    }
    *out = db;
    return 0;
}

void spool_db_close(struct spool_db **db_ptr)
{
    struct spool_db *db = *db_ptr;
    if (!db)
        return;
    *db_ptr = NULL;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->sqlite);
    free(db->path);
    free(db);
}

int spool_db_begin(struct spool_db *db, struct error *err)
{
    return run(db, STATEMENT_BEGIN, err);
}

int spool_db_commit(struct spool_db *db, struct error *err)
{
    int result = run(db, STATEMENT_COMMIT, err);
    db->unsettled = db->unsettled || result != 0;
    return result;
}

/* Its page is in the log again, at the place of the first one that was not committed; twice flipped, the
 * mark is what it was. */
int spool_db_settle(struct spool_db *db, struct error *err)
{
    if (!db->unsettled)
        return 0;
    int result = spool_db_begin(db, err);
    for (int i = 0; result == 0 && i < 2; i++)
        result = run(db, STATEMENT_FLIP_MARK, err);
    if (result == 0)
        result = spool_db_commit(db, err);
    if (result != 0)
        spool_db_roll_back(db);
    db->unsettled = result != 0;
    return result;
}

void spool_db_roll_back(struct spool_db *db)
{
    if (!sqlite3_get_autocommit(db->sqlite)) /* some errors have rolled back already */
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- statements ---- */

/* A statement with whole numbers for its first parameters. */
static sqlite3_stmt *bind_numbers(struct spool_db *db, enum statement statement, size_t count,
                                  const int64_t *values)
{
    sqlite3_stmt *prepared = db->statements[statement];
    for (size_t i = 0; i < count; i++)
        sqlite3_bind_int64(prepared, (int)i + 1, values[i]);
    return prepared;
}
#define BIND(db, statement, ...)                                                      \
    bind_numbers(db, statement, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), \
                 (int64_t[]){ __VA_ARGS__ })

/* One step: SQLITE_ROW or SQLITE_DONE, else the error. Its columns hold until finish. */
static int step(struct spool_db *db, sqlite3_stmt *prepared, int *code, struct error *err)
{
    *code = sqlite3_step(prepared);
    if (*code == SQLITE_ROW || *code == SQLITE_DONE)
        return 0;
    int result = fail(db, "cannot be used", err);
    sqlite3_reset(prepared);
    return result;
}

static void finish(sqlite3_stmt *prepared)
{
    sqlite3_reset(prepared);
    sqlite3_clear_bindings(prepared);
}

/* Runs what gives no rows. */
static int execute(struct spool_db *db, sqlite3_stmt *prepared, struct error *err)
{
    int code, result = step(db, prepared, &code, err);
    finish(prepared);
    return result;
}

static int run(struct spool_db *db, enum statement statement, struct error *err)
{
    return execute(db, db->statements[statement], err);
}

/* The first column of the first row; found is false when there is none. */
static int look_up(struct spool_db *db, sqlite3_stmt *prepared, bool *found, int64_t *value,
                   struct error *err)
{
    int code, result = step(db, prepared, &code, err);
    *found = result == 0 && code == SQLITE_ROW;
    if (*found)
        *value = sqlite3_column_int64(prepared, 0);
    /* RETURNING gives its row first and is done with the next step */
    while (result == 0 && code == SQLITE_ROW)
        result = step(db, prepared, &code, err);
    finish(prepared);
    return result;
}

/* ---- opening ---- */

static int fail(const struct spool_db *db, const char *doing, struct error *err)
{
    int code = db->sqlite ? sqlite3_errcode(db->sqlite) : SQLITE_NOMEM;
    const char *text = db->sqlite ? sqlite3_errmsg(db->sqlite) : "no memory";
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(
            err, ERROR_FORMAT, db->path,
            "is damaged (%s): move it away, with its -wal beside it, and start again; the "
            "frames in it that have no answer are lost with it, unless sqlite3's .recover "
            "brings them back",
            text);
    case SQLITE_BUSY:
        return error_set(err, ERROR_IO, db->path, "another process has it: a spool is for one agent");
    case SQLITE_FULL:
        return error_set(err, ERROR_LIMIT, db->path, "no room (%s): is the disk full?", text);
    case SQLITE_NOMEM:
        return error_set(err, ERROR_MEMORY, db->path, "%s", text);
    default:
        return error_set(err, ERROR_IO, db->path, "%s: %s (SQLite %d, errno %d)", doing, text,
                         db->sqlite ? sqlite3_extended_errcode(db->sqlite) : code,
                         db->sqlite ? sqlite3_system_errno(db->sqlite) : ENOMEM);
    }
}

static int execute_text(struct spool_db *db, const char *text, struct error *err)
{
    return sqlite3_exec(db->sqlite, text, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : fail(db, "cannot be set up", err);
}

static int ask(struct spool_db *db, const char *text, int64_t *value, struct error *err)
{
    sqlite3_stmt *prepared;
    bool found;
    if (sqlite3_prepare_v2(db->sqlite, text, -1, &prepared, NULL) != SQLITE_OK)
        return fail(db, "cannot be read", err);
    int result = look_up(db, prepared, &found, value, err);
    sqlite3_finalize(prepared);
    return result;
}

/* Every page is looked at, as a damaged one is better found now than under a frame. */
static int check_pages(struct spool_db *db, struct error *err)
{
    sqlite3_stmt *prepared;
    int code;
    if (sqlite3_prepare_v2(db->sqlite, "PRAGMA quick_check(1)", -1, &prepared, NULL) != SQLITE_OK)
        return fail(db, "cannot be checked", err);
    int result = step(db, prepared, &code, err);
    const char *text = result == 0 ? (const char *)sqlite3_column_text(prepared, 0) : NULL;
    if (result == 0 && !text)
        result = fail(db, "cannot be checked", err);
    else if (result == 0 && strcmp(text, "ok") != 0)
        result = error_set(
            err, ERROR_FORMAT, db->path,
            "is damaged (%s): move it away, with its -wal beside it, and start again; the "
            "frames in it that have no answer are lost with it, unless sqlite3's "
            ".recover brings them back",
            text);
    sqlite3_finalize(prepared);
    return result;
}

/* Makes the tables in a new file; knows its own in an old one. */
static int look_at_schema(struct spool_db *db, struct error *err)
{
    int64_t version = 0, application = 0, tables = 0;
    int result = ask(db, "PRAGMA user_version", &version, err);
    if (result == 0)
        result = ask(db, "PRAGMA application_id", &application, err);
    if (result == 0)
        result = ask(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (result != 0)
        return result;
    if (tables == 0) {
        char text[2048];
        snprintf(text, sizeof text, "BEGIN; PRAGMA application_id = %d; %s COMMIT;", APPLICATION_ID,
                 schema);
        return execute_text(db, text, err);
    }
    if (application != APPLICATION_ID)
        return error_set(err, ERROR_FORMAT, db->path, "is a database, but no spool");
    if (version != SPOOL_VERSION)
        return error_set(err, ERROR_UNSUPPORTED, db->path,
                         "has version %" PRId64 ", this agent knows %d: let the agent that made it "
                         "send what is in it, or move it away",
                         version, SPOOL_VERSION);
    return check_pages(db, err);
}

static int set_up(struct spool_db *db, struct error *err)
{
    char text[160];
    sqlite3_extended_result_codes(db->sqlite, 1);
    /* One process, so the log needs no shared memory; each commit is on the disk when it returns. */
    int result = execute_text(db, "PRAGMA locking_mode = EXCLUSIVE", err);
    if (result == 0)
        result = execute_text(db,
                              "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                              "PRAGMA journal_size_limit = " WAL_BYTES_MAX,
                              err);
    if (result == 0)
        result = look_at_schema(db, err);
    snprintf(text, sizeof text, "PRAGMA max_page_count = %" PRIu64, db->bytes_max / PAGE_BYTES);
    return result == 0 ? execute_text(db, text, err) : result;
}

static int prepare_all(struct spool_db *db, struct error *err)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(db->sqlite, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->statements[i], NULL) != SQLITE_OK)
            return fail(db, "cannot be used", err);
    return 0;
}

/* ---- frames ---- */

int spool_db_find_stream(struct spool_db *db, const char *name, struct spool_place *place,
                         struct error *err)
{
    int code;
    sqlite3_stmt *add = db->statements[STATEMENT_ADD_STREAM];
    sqlite3_bind_text(add, 1, name, -1, SQLITE_STATIC);
    int result = execute(db, add, err);
    if (result != 0)
        return result;
    sqlite3_stmt *find = db->statements[STATEMENT_FIND_STREAM];
    sqlite3_bind_text(find, 1, name, -1, SQLITE_STATIC);
    result = step(db, find, &code, err);
    if (result == 0) {
        assert(code == SQLITE_ROW);
        *place = (struct spool_place){
            .id = sqlite3_column_int64(find, 0),
            .next_number = (uint64_t)sqlite3_column_int64(find, 1),
            .waiting = (uint64_t)sqlite3_column_int64(find, 2),
        };
        /* An encoder begins anew with the process: what comes next does not go on this group. */
        place->last_group = (uint64_t)sqlite3_column_int64(find, 3);
    }
    finish(find);
    return result;
}

int spool_db_put(struct spool_db *db, struct spool_place *place, const struct spool_frame *stored,
                 struct error *err)
{
    const struct encoded_frame *frame = &stored->frame;
    size_t bytes;
    const uint8_t *data = packet_data(frame->packet, &bytes);
    assert(frame->keyframe || place->has_group);
    uint64_t old_group = place->last_group;
    uint64_t group = frame->keyframe ? frame->number : old_group;
    int result = execute(db,
                         BIND(db, STATEMENT_PUT_FRAME, place->id, (int64_t)frame->number,
                              frame->keyframe, (int64_t)group, (int64_t)frame->capture_ns,
                              (int64_t)frame->capture_unix_us, frame->encode_us, frame->rung.codec,
                              frame->rung.width, frame->rung.height, frame->camera_width,
                              frame->camera_height, (int64_t)hash_bytes(HASH_START, data, bytes)),
                         err);
    if (result != 0)
        return result;
    sqlite3_stmt *put = BIND(db, STATEMENT_PUT_PACKET, sqlite3_last_insert_rowid(db->sqlite));
    sqlite3_bind_blob64(put, 2, data, bytes, SQLITE_STATIC);
    result = execute(db, put, err);
    if (result == 0)
        result =
            execute(db, BIND(db, STATEMENT_SET_NEXT, place->id, (int64_t)frame->number + 1), err);
    if (result != 0)
        return result;
    place->next_number = frame->number + 1;
    place->waiting++;
    place->last_group = group;
    place->has_group = true;
    return group != old_group ? drop_if_answered(db, place, old_group, err) : 0;
}

static int count_pages(struct spool_db *db, uint64_t *used, struct error *err)
{
    int64_t pages = 0, unused = 0;
    bool found;
    int result = look_up(db, db->statements[STATEMENT_PAGES], &found, &pages, err);
    if (result == 0)
        result = look_up(db, db->statements[STATEMENT_FREE_PAGES], &found, &unused, err);
    *used = (uint64_t)(pages - unused) * PAGE_BYTES;
    return result;
}

int spool_db_has_room(struct spool_db *db, size_t bytes, bool *room, struct error *err)
{
    uint64_t used;
    int result = count_pages(db, &used, err);
    *room = result == 0 &&
            used + bytes + bytes / 64 + FRAME_EXTRA_BYTES + RESERVE_BYTES <= db->bytes_max;
    return result;
}

int spool_db_answer(struct spool_db *db, struct spool_place *place, uint64_t number, bool *found,
                    struct error *err)
{
    int64_t group;
    int result =
        look_up(db, BIND(db, STATEMENT_ANSWER, place->id, (int64_t)number), found, &group, err);
    if (result != 0 || !*found)
        return result;
    place->waiting--;
    return (uint64_t)group == place->last_group ? 0
                                                : drop_if_answered(db, place, (uint64_t)group, err);
}

int spool_db_count_try(struct spool_db *db, const struct spool_place *place, uint64_t number,
                       uint32_t *tries, struct error *err)
{
    int64_t count = 0;
    bool found;
    int result =
        look_up(db, BIND(db, STATEMENT_TRY, place->id, (int64_t)number), &found, &count, err);
    *tries = (uint32_t)count;
    return result;
}

/* The first frame from a number on that waits for an answer. */
static int find_waiting(struct spool_db *db, int64_t stream, uint64_t from, bool *found,
                        uint64_t *number, uint64_t *group, struct error *err)
{
    int code;
    sqlite3_stmt *prepared = BIND(db, STATEMENT_FIRST_WAITING, stream, (int64_t)from);
    int result = step(db, prepared, &code, err);
    *found = result == 0 && code == SQLITE_ROW;
    if (*found) {
        *number = (uint64_t)sqlite3_column_int64(prepared, 0);
        *group = (uint64_t)sqlite3_column_int64(prepared, 1);
    }
    finish(prepared);
    return result;
}

static int take_row(sqlite3_stmt *row, struct spool_frame *stored, struct error *err)
{
    const void *bytes = sqlite3_column_blob(row, 13);
    size_t size = (size_t)sqlite3_column_bytes(row, 13);
    *stored = (struct spool_frame){
        .frame = { .number = (uint64_t)sqlite3_column_int64(row, 0),
                   .keyframe = sqlite3_column_int(row, 1) != 0,
                   .capture_ns = (uint64_t)sqlite3_column_int64(row, 4),
                   .capture_unix_us = (uint64_t)sqlite3_column_int64(row, 5),
                   .encode_us = (uint32_t)sqlite3_column_int64(row, 6),
                   .rung = { .codec = sqlite3_column_int(row, 7),
                             .width = (uint32_t)sqlite3_column_int64(row, 8),
                             .height = (uint32_t)sqlite3_column_int64(row, 9) },
                   .camera_width = (uint32_t)sqlite3_column_int64(row, 10),
                   .camera_height = (uint32_t)sqlite3_column_int64(row, 11) },
        .answered = sqlite3_column_int(row, 2) != 0,
        .group = (uint64_t)sqlite3_column_int64(row, 3),
    };
    const int codec = stored->frame.rung.codec;
    if (!bytes || size == 0 || codec < 0 || codec >= VIDEO_CODEC_COUNT ||
        (int64_t)hash_bytes(HASH_START, bytes, size) != sqlite3_column_int64(row, 12))
        return 0; /* without a packet */
    return packet_copy(&stored->frame.packet, bytes, size, stored->frame.keyframe, err);
}

int spool_db_read(struct spool_db *db, const struct spool_place *place, uint64_t from,
                  uint64_t below, struct spool_frame *stored, struct error *err)
{
    uint64_t number, group;
    bool found;
    int code, result = find_waiting(db, place->id, from, &found, &number, &group, err);
    if (result != 0)
        return result;
    if (!found || number >= below)
        return error_set(err, ERROR_END, db->path, "no more frames");
    sqlite3_stmt *row = BIND(db, STATEMENT_READ, place->id, (int64_t)(group > from ? group : from));
    result = step(db, row, &code, err);
    if (result == 0)
        result = code == SQLITE_ROW ? take_row(row, stored, err)
                                    : error_set(err, ERROR_END, db->path, "no more frames");
    finish(row);
    return result;
}

/* ---- going ---- */

/* Takes the frames of a stream with numbers in [first, end) out. */
static int drop_range(struct spool_db *db, int64_t stream, uint64_t first, uint64_t end,
                      struct error *err)
{
    int result =
        execute(db, BIND(db, STATEMENT_DROP_PACKETS, stream, (int64_t)first, (int64_t)end), err);
    if (result != 0)
        return result;
    return execute(db, BIND(db, STATEMENT_DROP_FRAMES, stream, (int64_t)first, (int64_t)end), err);
}

/* The number behind the last frame of a group. */
static int find_end(struct spool_db *db, int64_t stream, uint64_t group, uint64_t *end,
                    struct error *err)
{
    int64_t number = INT64_MAX;
    bool found;
    int result =
        look_up(db, BIND(db, STATEMENT_NEXT_GROUP, stream, (int64_t)group), &found, &number, err);
    *end = (uint64_t)number;
    return result;
}

static int drop_if_answered(struct spool_db *db, const struct spool_place *place, uint64_t group,
                            struct error *err)
{
    uint64_t waiting, waiting_group, end;
    bool found;
    int result = find_waiting(db, place->id, group, &found, &waiting, &waiting_group, err);
    if (result != 0 || (found && waiting_group == group))
        return result;
    result = find_end(db, place->id, group, &end, err);
    return result == 0 ? drop_range(db, place->id, group, end, err) : result;
}

/* Fills loss->frames: those from first on that waited. */
static int drop_from(struct spool_db *db, struct spool_loss *loss, uint64_t first, struct error *err)
{
    uint64_t end;
    int64_t waiting = 0;
    bool found;
    int result = find_end(db, loss->id, loss->group, &end, err);
    if (result == 0)
        result =
            look_up(db, BIND(db, STATEMENT_COUNT_WAITING, loss->id, (int64_t)first, (int64_t)end),
                    &found, &waiting, err);
    loss->frames = (uint64_t)waiting;
    return result == 0 ? drop_range(db, loss->id, first, end, err) : result;
}

static int drop_group(struct spool_db *db, struct spool_loss *loss, struct error *err)
{
    return drop_from(db, loss, loss->group, err);
}

/* The group of the oldest frame of all. */
static int find_oldest(struct spool_db *db, struct spool_loss *loss, uint64_t *unix_us,
                       struct error *err)
{
    int code;
    *loss = (struct spool_loss){ .id = 0 };
    sqlite3_stmt *prepared = db->statements[STATEMENT_OLDEST];
    int result = step(db, prepared, &code, err);
    if (result == 0 && code == SQLITE_ROW) {
        loss->id = sqlite3_column_int64(prepared, 0);
        loss->group = (uint64_t)sqlite3_column_int64(prepared, 1);
        *unix_us = (uint64_t)sqlite3_column_int64(prepared, 2);
    }
    finish(prepared);
    return result;
}

int spool_db_drop_oldest(struct spool_db *db, struct spool_loss *loss, struct error *err)
{
    uint64_t unix_us;
    int result = find_oldest(db, loss, &unix_us, err);
    return result == 0 && loss->id != 0 ? drop_group(db, loss, err) : result;
}

int spool_db_drop_older(struct spool_db *db, uint64_t unix_us, struct spool_loss *loss,
                        uint64_t *oldest_us, struct error *err)
{
    *oldest_us = 0;
    int result = find_oldest(db, loss, oldest_us, err);
    if (result != 0 || loss->id == 0 || *oldest_us >= unix_us) {
        loss->id = 0;
        return result;
    }
    return drop_group(db, loss, err);
}

int spool_db_drop_rest(struct spool_db *db, const struct spool_place *place, uint64_t group,
                       uint64_t number, struct spool_loss *loss, struct error *err)
{
    *loss = (struct spool_loss){ .id = place->id, .group = group };
    return drop_from(db, loss, number, err);
}

/* ---- what else is in it ---- */

int spool_db_get_mark(struct spool_db *db, struct lines_mark *mark, struct error *err)
{
    int code;
    sqlite3_stmt *prepared = db->statements[STATEMENT_GET_MARK];
    int result = step(db, prepared, &code, err);
    if (result == 0 && code == SQLITE_ROW)
        *mark = (struct lines_mark){ (uint64_t)sqlite3_column_int64(prepared, 0),
                                     (uint64_t)sqlite3_column_int64(prepared, 1) };
    finish(prepared);
    return result;
}

int spool_db_set_mark(struct spool_db *db, const struct lines_mark *mark, struct error *err)
{
    return execute(db, BIND(db, STATEMENT_SET_MARK, (int64_t)mark->inode, (int64_t)mark->bytes), err);
}

int spool_db_get_figures(struct spool_db *db, struct spool_figures *figures, struct error *err)
{
    int64_t oldest_us = 0;
    bool found;
    int result = count_pages(db, &figures->bytes, err);
    if (result == 0)
        result = look_up(db, db->statements[STATEMENT_OLDEST_WAITING], &found, &oldest_us, err);
    figures->oldest_unix_us = (uint64_t)oldest_us;
    return result;
}
