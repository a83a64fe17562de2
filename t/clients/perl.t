# The worker of examples/workers/perl on the module's queue.

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use Esputnik::Test;
use Consumer;

worker_is_reliable('perl', ['/usr/bin/perl', example('workers/perl/worker.pl')]);
