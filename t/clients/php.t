# The worker of examples/workers/php on the module's queue.

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use Esputnik::Test;
use Consumer;

worker_is_reliable('php', ['php', example('workers/php/worker.php')]);
