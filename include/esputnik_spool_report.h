/*
 * What a reader of a spool met that a person should know.
 */

#ifndef ESPUTNIK_SPOOL_REPORT_H
#define ESPUTNIK_SPOOL_REPORT_H

#include <cstddef>
#include <cstdint>

namespace esputnik {

enum class ReportKind : uint8_t {
    torn_tail,       /* an unfinished append at the end, cut off; it was never
                        acknowledged.  [notice] */
    corrupt,         /* bad bytes before good records, or in what was synced;
                        set aside in corrupt-<segment>-<offset>.  [crit] */
    unknown_version, /* the segment is left alone.  [error] */
    no_target,       /* header and all records are bad; the file was renamed
                        to corrupt-<segment>-0.  [crit] */
    unreadable,      /* a file operation failed: error.  [crit] */
    malformed,       /* a record with a right sum that says nothing sensible;
                        set aside as corrupt ones are.  [crit] */
};

struct SpoolReport {
    ReportKind kind;
    int error;           /* errno or 0 */
    uint64_t segment_id;
    uint64_t offset;
    uint64_t length;
};

/* "torn tail of an unfinished append cut off" …: for the log. */
const char *report_text(ReportKind kind);

} // namespace esputnik

#endif
