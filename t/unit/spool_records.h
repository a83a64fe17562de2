/* Records and spools for the tests of the journal. */

#ifndef SPOOL_RECORDS_H
#define SPOOL_RECORDS_H

#include <check.h>

#include <string>

#include "esputnik_journal_reader.h"
#include "esputnik_journal_writer.h"
#include "esputnik_spool_dir.h"
#include "spool_disk.h"

constexpr char kDir[] = "/spool";
constexpr char kTarget[] = "main";

inline bool build_record(esputnik::Buffer *batch, uint64_t sequence,
                         const std::string &key, const std::string &value,
                         const std::string &target = kTarget)
{
    esputnik::RecordBuilder r(batch);
    if (!r.begin(target, 1700000000000 + sequence)
        || !r.operation({esputnik::OperationKind::rpush, key})
        || !r.value(value) || !r.finish())
    {
        return false;
    }
    esputnik::set_record_sequence(batch->data() + r.offset(), sequence);
    return true;
}

inline void add_record(esputnik::Buffer *batch, uint64_t sequence,
                       const std::string &key, const std::string &value,
                       const std::string &target = kTarget)
{
    ck_assert(build_record(batch, sequence, key, value, target));
}

/* One record appended, and acknowledged or not. */
inline bool append(esputnik::JournalWriter *w, uint64_t sequence,
                   const std::string &key, const std::string &value,
                   esputnik::AppendReport *report = nullptr)
{
    esputnik::Buffer batch;
    esputnik::AppendReport mine;
    add_record(&batch, sequence, key, value);
    return w->append(batch.data(), batch.size(),
                     report != nullptr ? report : &mine);
}

/* "1:a 2:b ": sequences and first values of what is read; all is done. */
inline std::string drain(esputnik::JournalReader *r,
                         uint64_t before = UINT64_MAX,
                         const std::string &stuck = "")
{
    std::string out;
    esputnik::CommitReport report;

    while (r->read(before, 100000) == esputnik::ReadResult::records) {
        bool held = false;
        for (size_t i = 0; i < r->items().size() && !held; i++) {
            const esputnik::Record &record = r->items()[i].record;
            esputnik::OperationReader ops(record.payload);
            esputnik::Operation op;
            esputnik::OperationValue v;
            ck_assert(ops.next(&op) && ops.value(&v));
            if (op.key == stuck) {
                ck_assert(r->hold(i));
                held = true;
                continue;
            }
            ck_assert(r->done(i));
            out += std::to_string(record.sequence) + ":" + std::string(v.bytes)
                   + " ";
        }
        ck_assert(r->commit(&report));
    }
    ck_assert(r->commit(&report));
    return out;
}

inline void same(const std::string &got, const std::string &expected)
{
    ck_assert_str_eq(got.c_str(), expected.c_str());
}

inline std::string only_segment(const SpoolDisk &disk)
{
    std::string found;
    for (const std::string &name : disk.names()) {
        if (name.find(".seg") != name.npos) {
            ck_assert(found.empty());
            found = name;
        }
    }
    return found;
}

inline int run_suite(Suite *s)
{
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

#endif
