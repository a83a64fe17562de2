# The worker of examples/workers/ruby on the module's queue.

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use Esputnik::Test;
use Consumer;

worker_is_reliable('ruby', ['ruby', example('workers/ruby/worker.rb')]);
