# The worker of examples/workers/python on the module's queue.

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use Esputnik::Test;
use Consumer;

worker_is_reliable('python', [$Consumer::python, example('workers/python/worker.py')]);
