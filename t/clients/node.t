# The worker of examples/workers/node on the module's queue.

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use Esputnik::Test;
use Consumer;

worker_is_reliable('node', ['node', example('workers/node/worker.js')]);
