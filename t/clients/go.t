# The worker of examples/workers/go on the module's queue, built with Debian's
# redigo.

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Esputnik::Test;
use Consumer;

my $folder = tempdir('esputnik-go-XXXXXX', TMPDIR => 1, CLEANUP => 1);
local @ENV{qw(GO111MODULE GOPATH GOFLAGS)} = ('off', '/usr/share/gocode', '');
$ENV{GOCACHE} //= root() . "/build/go";
is(system('go', 'build', '-o', "$folder/worker", example('workers/go/worker.go')),
   0, 'it builds');

worker_is_reliable('go', ["$folder/worker"]);
