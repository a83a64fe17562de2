/*
 * esputnik-spool: looks into a spool, checks it, and sends it by hand.
 * docs/spool.md, docs/man/esputnik-spool.1
 */

#include <csignal>

#include "esputnik-spool/inspect.h"
#include "esputnik-spool/options.h"
#include "esputnik-spool/replay.h"

int main(int argc, char **argv)
{
    /* too large a file is an error to report, a closed pipe an end */
    signal(SIGXFSZ, SIG_IGN);

    spool_tool::Options options;
    const int rc = spool_tool::parse_options(argc, argv, &options);
    if (rc >= 0) {
        return rc;
    }

    const int status = options.command == spool_tool::Command::replay
                           ? spool_tool::replay(options)
                           : spool_tool::inspect(options);
    if (fflush(stdout) != 0) {
        perror("esputnik-spool: output");
        return spool_tool::kExitFailed;
    }
    return status;
}
