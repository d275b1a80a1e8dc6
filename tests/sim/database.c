/* database: what SQLite does for the daemons, to files and in memory. It is a library that is shared, so its
 * calls are not found at the link: it is given a file system of ours, which is the usual one but for what
 * disk.c lets fail, and memory of ours, which memory.c counts.
 *
 * No other thread gets its turn in here: SQLite holds mutexes of its own, which are real. What a killed
 * daemon does goes through, to files that nobody reads any more (history.c). */
#include "sim.h"

#include <sqlite3.h>
#include <stdlib.h>

struct file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this one, in the same memory */
};

static sqlite3_vfs *system_files, own_files;

static sqlite3_file *real(sqlite3_file *file)
{
    return ((struct file *)file)->real;
}

/* ---- what fails ---- */

/* A disk that fills up takes the first part. */
static int write_file(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset)
{
    const struct sqlite3_io_methods *methods = real(file)->pMethods;
    if (!disk_fails("write", true))
        return methods->xWrite(real(file), bytes, size, offset);
    if (size > 1 && methods->xWrite(real(file), bytes, size / 2, offset) != SQLITE_OK)
        sim_fail("half a write of a database fails by itself");
    return SQLITE_FULL;
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size)
{
    return disk_fails("truncation", false) ? SQLITE_IOERR_TRUNCATE
                                           : real(file)->pMethods->xTruncate(real(file), size);
}

static int sync_file(sqlite3_file *file, int flags)
{
    return disk_fails("sync", true) ? SQLITE_IOERR_FSYNC
                                    : real(file)->pMethods->xSync(real(file), flags);
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs;
    return disk_fails("deletion", false) ? SQLITE_IOERR_DELETE
                                         : system_files->xDelete(system_files, name, sync_folder);
}

/* ---- what does not ---- */

static int close_file(sqlite3_file *file)
{
    return real(file)->pMethods->xClose(real(file));
}

static int read_file(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset)
{
    return real(file)->pMethods->xRead(real(file), bytes, size, offset);
}

static int get_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real(file)->pMethods->xFileSize(real(file), size);
}

static int lock_file(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int unlock_file(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int check_lock(sqlite3_file *file, int *reserved)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), reserved);
}

static int control_file(sqlite3_file *file, int what, void *arg)
{
    return real(file)->pMethods->xFileControl(real(file), what, arg);
}

static int get_sector(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

static int get_device(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

/* Of a log that several processes have: the test's own look at a spool. */
static int map_shared(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, memory);
}

static int lock_shared(sqlite3_file *file, int offset, int count, int flags)
{
    return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
}

static void order_shared(sqlite3_file *file)
{
    real(file)->pMethods->xShmBarrier(real(file));
}

static int unmap_shared(sqlite3_file *file, int remove)
{
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

static const struct sqlite3_io_methods methods = {
    .iVersion = 2, /* with xShm… */
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = get_size,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_lock,
    .xFileControl = control_file,
    .xSectorSize = get_sector,
    .xDeviceCharacteristics = get_device,
    .xShmMap = map_shared,
    .xShmLock = lock_shared,
    .xShmBarrier = order_shared,
    .xShmUnmap = unmap_shared,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *opened, int flags,
                     int *flags_out)
{
    struct file *file = (struct file *)opened;
    (void)vfs;
    file->real = (sqlite3_file *)(file + 1);
    int result = system_files->xOpen(system_files, name, file->real, flags, flags_out);
    opened->pMethods = file->real->pMethods ? &methods : NULL; /* NULL: it need not be closed */
    return result;
}

/* ---- memory: malloc and realloc are those of memory.c, as everywhere in this program. What SQLite takes a
 * block's size for has to be the same each time, which the allocator's own word is not. ---- */

static void *take(int bytes)
{
    uint64_t *block = malloc(sizeof *block + (size_t)bytes);
    if (!block)
        return NULL;
    *block = (uint64_t)bytes;
    return block + 1;
}

static void give(void *block)
{
    free((uint64_t *)block - 1);
}

static void *take_again(void *old, int bytes)
{
    uint64_t *block = realloc((uint64_t *)old - 1, sizeof *block + (size_t)bytes);
    if (!block)
        return NULL;
    *block = (uint64_t)bytes;
    return block + 1;
}

static int get_block_size(void *block)
{
    return block ? (int)((uint64_t *)block)[-1] : 0;
}

static int round_up(int bytes)
{
    return (bytes + 7) & ~7;
}

static int begin_memory(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void end_memory(void *arg)
{
    (void)arg;
}

void database_open(void)
{
    static const sqlite3_mem_methods memory = { take,     give,         take_again, get_block_size,
                                                round_up, begin_memory, end_memory, NULL };
    if (system_files)
        return;
    SIM_CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) == SQLITE_OK &&
                  sqlite3_initialize() == SQLITE_OK,
              "SQLite does not begin");
    system_files = sqlite3_vfs_find(NULL);
    own_files = *system_files;
    own_files.zName = "sim";
    own_files.szOsFile += (int)sizeof(struct file);
    own_files.xOpen = open_file;
    own_files.xDelete = delete_file;
    SIM_CHECK(sqlite3_vfs_register(&own_files, 1) == SQLITE_OK, "SQLite does not take its files");
}
