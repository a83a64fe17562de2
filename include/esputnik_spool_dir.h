/*
 * The folder of a spool: its names, its locks, and what is in it.
 *
 *     lock                     held by nginx, against a second one
 *     drain-<hash>             held by the worker that drains a target
 *     <id>.seg                 a segment, id in 16 hexadecimal digits
 *     <id>.tmp                 a segment that is being made
 *     <id>.done                marks of what is delivered of it
 *     corrupt-<id>-<offset>    bytes that were set aside
 *
 * An id is the millisecond of the segment's making and the process that made
 * it (42 and 22 bits): ids are never used again, and sort by time.
 */

#ifndef ESPUTNIK_SPOOL_DIR_H
#define ESPUTNIK_SPOOL_DIR_H

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "esputnik_array.h"
#include "esputnik_file.h"
#include "esputnik_journal_format.h"
#include "esputnik_spool_report.h"

namespace esputnik {

constexpr size_t kSpoolPathMax = 4096;

constexpr uint64_t make_segment_id(uint64_t ms, uint32_t process_id)
{
    return ms << 22 | (process_id & 0x3fffff);
}

constexpr uint64_t segment_id_ms(uint64_t id)
{
    return id >> 22;
}

/* "DIR/<id>.seg" and the like, terminated; false when it would not fit
 * (kSpoolPathMax). */
struct SpoolPath {
    char text[kSpoolPathMax];

    bool segment(const char *dir, uint64_t id);
    bool temporary(const char *dir, uint64_t id);
    bool marks(const char *dir, uint64_t id);
    bool corrupt(const char *dir, uint64_t id, uint64_t offset);
};

/* True when name is "<id>.seg". */
bool segment_id_of(const char *name, uint64_t *id);

/* Makes the folder (0700, owned by uid and gid unless these are -1; its parent
 * must exist) and takes DIR/lock.  Works on the real file system.
 *
 * Returns the descriptor to keep for as long as nginx runs, or -errno; *step
 * says what failed.  -EWOULDBLOCK: another nginx has it.  The lock belongs to
 * the open file: workers inherit it over fork(), and it stays as long as one
 * of them lives.  The descriptor survives exec() too: after a binary upgrade
 * the new master finds it among its own, so that the lock is never let go. */
int lock_spool(const char *dir, uid_t uid, gid_t gid, const char **step);

/* DIR/drain-<hash of the target's name>: the right to drain the target, so that
 * one whose Redis is away does not hold up the others; a worker takes it for
 * itself, after fork().  A descriptor, -EWOULDBLOCK or -errno. */
int lock_drain(Files &files, const char *dir, std::string_view target);

struct TargetStats {
    uint64_t segments;
    uint64_t bytes;   /* of its segment files, delivered or not */
    uint64_t records; /* not delivered */
    uint64_t events;
    uint64_t oldest_ms; /* of a record not delivered; 0: none */
    uint64_t newest_ms;
    uint64_t max_sequence; /* of any record */
    uint8_t target_length;
    char target[kTargetMax];

    std::string_view target_name() const { return {target, target_length}; }
};

/* Reads all segments; changes nothing.  For a start: what is there, and above
 * which sequence to go on.  Targets that are not configured any more are there
 * too.  0 or -errno. */
int scan_spool(Files &files, const char *dir, Array<TargetStats> *targets,
               Array<SpoolReport> *reports);

/* Bytes of all segment files, whosever they are; or -errno. */
int64_t spool_bytes(Files &files, const char *dir);

/* Removes what killed processes left half made: *.tmp, marks without their
 * segment.  Only under lock_spool(), before any worker writes.  0 or
 * -errno. */
int clean_spool(Files &files, const char *dir);

/* Makes DIR/<id>.tmp with a new id above *last_ms, which it moves on, and fills
 * in header->id, created_ms and process_id.  A descriptor or -errno. */
int make_temporary(Files &files, const char *dir, SegmentHeader *header,
                   uint64_t *last_ms);

/* Ids of all segments in the folder, ascending.  0 or -errno. */
int list_segments(Files &files, const char *dir, Array<uint64_t> *ids);

} // namespace esputnik

#endif
